"""Runs command lines of Celery's own program, all in this process; prints what each printed, and its exit status.

`python command_lines.py '["inspect ping", …]'`
"""
import contextlib
import io
import json
import sys

from celery.bin.celery import celery


def run(line):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        try:
            celery.main(['-A', 'proj.celery', *line.split(' ')], prog_name='celery')
        except SystemExit as end:
            return [printed.getvalue(), end.code or 0]


json.dump([run(line) for line in json.loads(sys.argv[1])], sys.stdout)
