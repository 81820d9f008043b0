"""The same tasks in Python, and a client of them. The settings are in the variable BENCH_SETTINGS.

    fleet.py send COUNT    sends the task that does nothing; prints how many a second
    fleet.py trip COUNT    sends it and waits for its result, each time; prints the milliseconds that each took
    fleet.py chain COUNT   sends a chain of it; prints the id of the last one
    fleet.py chord COUNT   sends a chord of that many, and waits for the body; prints the milliseconds that it took
"""

import json
import os
import signal
import sys
import threading
import time

from celery import Celery, chain, chord
from celery.signals import worker_ready

app = Celery("bench")
app.conf.update(json.loads(os.environ["BENCH_SETTINGS"]))


@app.task(name="bench.noop")
def noop():
    pass


@app.task(name="bench.sleep")
def sleep():
    time.sleep(0.05)


@app.task(name="bench.burn")
def burn():
    began = time.thread_time()
    while time.thread_time() - began < 0.01:
        pass


@app.task(name="bench.due")
def due(seconds):
    late = (time.time() - seconds) * 1000
    with open(os.environ["BENCH_LATENESS"], "a") as file:
        file.write(f"{late:.3f}\n")


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


def send_chain(count):
    return chain(noop.si() for _ in range(count)).apply_async().id


def run_chord(count):
    # The connections are there before it begins.
    noop.delay().get()
    began = time.perf_counter()
    chord(noop.si() for _ in range(count))(noop.si()).get()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    run = {"send": send, "trip": trip, "chain": send_chain, "chord": run_chord}[sys.argv[1]]
    print(json.dumps(run(int(sys.argv[2]))))
