"""Runs a worker, for as long as whoever started it lives."""
import os
import signal
import sys
import threading

from proj.celery import app


def end_with_the_test():
    """The test holds our standard input: its end is the end of the test.

    The descriptor is read, not `sys.stdin`, whose lock a forked child would find taken for ever.
    """
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_the_test, daemon=True).start()
options = sys.argv[1:]
if '--with-gossip' in options:
    options.remove('--with-gossip')
else:
    options += ['--without-gossip', '--without-heartbeat']
app.worker_main(['worker', '--without-mingle', '-l', 'INFO', *options])
