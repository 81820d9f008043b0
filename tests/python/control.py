"""Broadcasts commands of remote control, as Python's client does; prints a JSON document of the replies by case.

`python control.py '[["case", "command", {"argument": 1}], …]' node…` runs them in order, each for these nodes, or for
those that a fourth entry says, such as `{"destination": null, "pattern": "w*", "matcher": "glob", "timeout": 1}`.
"""
import json
import sys

from proj.celery import app

cases, nodes = json.loads(sys.argv[1]), sys.argv[2:]
# A command without a reply is waited for shortly, and those that have one by their number.
json.dump(
    {case: app.control.broadcast(command, arguments=arguments, reply=True, **{
        'destination': nodes, 'timeout': 1 if command == 'shutdown' else 20, **(ways[0] if ways else {})})
     for case, command, arguments, *ways in cases},
    sys.stdout,
)
