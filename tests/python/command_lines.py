"""Runs command lines of Celery's own program, all in this process; prints what each printed, and its exit status.

`python command_lines.py '["inspect ping", …]'`
"""
import json
import sys

from celery.bin.celery import celery
from click.testing import CliRunner


def run(line):
    result = CliRunner().invoke(celery, ['-A', 'proj.celery', *line.split(' ')], prog_name='celery')
    return [result.stdout, result.exit_code]


json.dump([run(line) for line in json.loads(sys.argv[1])], sys.stdout)
