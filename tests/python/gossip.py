"""Stands for election among our workers; prints, as a JSON document, what they say of it.

`python gossip.py` sends `worker-elect`, then asks all workers to hold an election of their own.
"""
import json
import sys

from proj.celery import app

heard = {}
with app.connection_for_read() as connection, app.connection_for_write() as other:
    dispatcher = app.events.Dispatcher(other, hostname='python@gossip')

    def note(event):
        if event['hostname'] == 'python@gossip':
            return
        if not heard:
            # Now it is certain that we listen.
            dispatcher.send('worker-elect', id='theirs', topic='task', action=None, cver=1)
            app.control.election('ours', 'task', None)
        heard.setdefault(event['type'], event)
        receiver.should_stop = 'worker-elect-ack' in heard and 'worker-elect' in heard

    receiver = app.events.Receiver(connection, handlers={'*': note}, routing_key='worker.#')
    receiver.capture(limit=None, timeout=20, wakeup=False)
json.dump(heard, sys.stdout)
