"""The tasks of the Python workers."""
import os
import time

import redis
from celery import shared_task
from celery.exceptions import Ignore

from .celery import app

PREFIX = app.conf.broker_transport_options['global_keyprefix']
LIMIT = 20


def client():
    return redis.Redis.from_url(app.conf.broker_url)


class OutOfCheese(Exception):
    """An exception of the project's own, with two arguments."""

    def __init__(self, what, code):
        super().__init__(what, code)


@shared_task
def add(x, y):
    return x + y


@shared_task
def mul(x, y):
    return x * y


@shared_task
def echo(value=None):
    return value


@shared_task
def kinds(**values):
    """The Python types that arrived, and the values themselves."""
    return {'types': {name: type(value).__name__ for name, value in values.items()}, 'values': values}


@shared_task(bind=True)
def request(self):
    """What the message said."""
    info = self.request
    return {
        'headers': info.headers, 'retries': info.retries, 'timelimit': info.timelimit, 'shadow': info.shadow,
        'root_id': info.root_id, 'parent_id': info.parent_id, 'id': info.id, 'eta': info.eta, 'expires': info.expires,
        'argsrepr': info.argsrepr, 'priority': info.delivery_info['priority'], 'ignore_result': info.ignore_result,
        'routing_key': info.delivery_info['routing_key'], 'origin': info.origin, 'reply_to': info.reply_to,
    }


@shared_task
def fail(what='gone', code=7):
    raise OutOfCheese(what, code)


@shared_task
def fail_value(text):
    raise ValueError(text)


@shared_task(bind=True, max_retries=3)
def retry_once(self, value, countdown=0):
    if not self.request.retries:
        raise self.retry(exc=KeyError('first'), countdown=countdown)
    return [value, self.request.retries]


@shared_task(bind=True, max_retries=0)
def exhaust(self):
    raise self.retry(countdown=0)


@shared_task
def ignore():
    raise Ignore()


@shared_task(bind=True)
def progress(self, gate):
    self.update_state(state='PROGRESS', meta={'done': 1, 'total': 2})
    wait(gate)
    return 'arrived'


@shared_task(track_started=True)
def tracked(gate):
    wait(gate)
    return 'passed'


@shared_task
def endless():
    while True:
        time.sleep(0.05)


@shared_task
def note(value):
    """Writes down that it ran, and who ran it."""
    client().rpush(PREFIX + 'noted', value)
    return value


@shared_task(name='fleet.count')
def count(number):
    """The task that both sides have: each run is written down."""
    client().rpush(PREFIX + 'counted', 'py %s' % number)
    return number


@shared_task(name='fleet.held', acks_late=True)
def fleet_held(gate):
    """The task that both sides have, and that waits: its result says who ended it."""
    enter(gate)
    wait(gate)
    return 'python'


@shared_task(name='fleet.part')
def fleet_part(number):
    """A part of a chord, which both sides have: fails for a number below 0."""
    if number < 0:
        raise ValueError('bad %s' % number)
    return number


@shared_task(name='fleet.gather')
def fleet_gather(results, chord):
    """The body of a chord, which both sides have: writes down that it ran, and returns what it was given."""
    client().rpush(PREFIX + 'gathered', 'py %s' % chord)
    return results


@shared_task(name='fleet.told')
def fleet_told(id):
    """The error callback of a body, which both sides have."""
    client().rpush(PREFIX + 'told', id)


@shared_task
def due(sent_for):
    """How late it is for what was to run at that time."""
    return time.time() - sent_for


@shared_task(name='fleet.work')
def fleet_work(number, milliseconds):
    """The task that both sides have, and that writes into the ledger of the test when it begins and when it ends."""
    ledger('begin %s' % number)
    time.sleep(milliseconds / 1000)
    ledger('end %s' % number)
    return number


LEDGER = {}


def ledger(what):
    """Writes with the time of the server, so that all entries are of one clock."""
    if os.getpid() not in LEDGER:
        LEDGER[os.getpid()] = redis.Redis.from_url(os.environ['FLEET_LEDGER_URL'])
    script = ("local now = redis.call('TIME') "
              "return redis.call('RPUSH', KEYS[1], ARGV[1] .. ' ' .. now[1] .. string.format('%06d', now[2]))")
    line = '%s %s' % (what, os.environ['FLEET_LEDGER_WHO'])
    LEDGER[os.getpid()].eval(script, 1, os.environ['FLEET_LEDGER_KEY'], line)


def enter(gate):
    client().rpush(PREFIX + 'entered:' + gate, os.getpid())


def wait(gate):
    assert client().blpop([PREFIX + 'gate:' + gate], timeout=LIMIT), 'nobody opened the gate ' + gate


@shared_task(name='canvases.tag')
def canvases_tag(value, number=None):
    """Tells its argument and the number, so that what comes where is seen in what comes out."""
    return [value, number]


@shared_task(name='canvases.total')
def canvases_total(value, more=0):
    """All numbers in it, however deep, and one more."""
    if isinstance(value, list):
        return more + sum(canvases_total(part) for part in value)
    return more + (value or 0)
