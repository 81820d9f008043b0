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
app.worker_main(['worker', '--without-gossip', '--without-mingle', '--without-heartbeat', '-l', 'INFO', *sys.argv[1:]])
