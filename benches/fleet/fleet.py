"""The same tasks in Python, and a client of them. The settings are in the variable BENCH_SETTINGS.

    fleet.py send COUNT    sends the task that does nothing; prints how many a second
    fleet.py trip COUNT    sends it and waits for its result, each time; prints the milliseconds that each took
"""

import json
import os
import signal
import sys
import threading
import time

from celery import Celery
from celery.signals import worker_ready

app = Celery("bench")
app.conf.update(json.loads(os.environ["BENCH_SETTINGS"]))


@app.task(name="bench.noop")
def noop():
    pass


@worker_ready.connect
def ready(**_):
    os.write(1, b"ready\n")
    threading.Thread(target=end_with_the_benchmark, daemon=True).start()


def end_with_the_benchmark():
    """Nothing is written to standard input: it ends with whoever holds it."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def send(count):
    noop.delay()
    began = time.perf_counter()
    for _ in range(count):
        noop.delay()
    return count / (time.perf_counter() - began)


def trip(count):
    took = []
    for _ in range(count):
        began = time.perf_counter()
        noop.delay().get()
        took.append((time.perf_counter() - began) * 1000)
    return took


if __name__ == "__main__":
    run = {"send": send, "trip": trip}[sys.argv[1]]
    print(json.dumps(run(int(sys.argv[2]))))
