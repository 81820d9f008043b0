"""The same task in Python. As a program it sends the task as often as it is told and prints how many a second."""

import sys
import time

from celery import Celery

app = Celery("bench")
app.conf.task_default_queue = "bench"


@app.task(name="bench.noop")
def noop():
    pass


if __name__ == "__main__":
    count = int(sys.argv[1])
    noop.delay()
    began = time.perf_counter()
    for _ in range(count - 1):
        noop.delay()
    print((count - 1) / (time.perf_counter() - began))
