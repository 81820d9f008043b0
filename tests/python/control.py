"""Broadcasts commands of remote control, as Python's client does; prints a JSON document of the replies by case.

`python control.py '[["case", "command", {"argument": 1}], …]' node…` runs them in order, each for these nodes.
"""
import json
import sys

from proj.celery import app

cases, nodes = json.loads(sys.argv[1]), sys.argv[2:]
# A command without a reply is waited for shortly, and those that have one by their number.
json.dump(
    {case: app.control.broadcast(command, arguments=arguments, destination=nodes, reply=True,
                                 timeout=1 if command == 'shutdown' else 20)
     for case, command, arguments in cases},
    sys.stdout,
)
