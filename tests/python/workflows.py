"""Canvases of every kind, and what came of each.

`python workflows.py describe <whose>` prints each as Celery's dict: of Python's tasks (`python`), of ours (`rust`), or of both in turn (`mixed`).
`python workflows.py send <whose>` sends them, and keeps in the namespace what was sent, and the tuple of each result.
`python workflows.py look` waits until all of it is there, and prints what is stored, with names in place of ids.
`python workflows.py groups <id>` saves a group, and restores the one that our side has saved under that id.
`python workflows.py graph <id>` draws what followed a task.
"""
import io
import itertools
import json
import os
import re
import sys
import time

from celery import chain, chord, group
from celery.canvas import chunks, xmap, xstarmap
from celery.result import AsyncResult, GroupResult
from celery.states import EXCEPTION_STATES, READY_STATES
from kombu.utils.json import dumps

from proj.canvas import PREFIX
from proj.celery import app
from proj.tasks import client

LIMIT = 40
UUID = re.compile('[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')
KINDS = {'python': ['py'], 'rust': ['rs'], 'mixed': ['py', 'rs']}
NAMES = {'py': 'proj.canvas.', 'rs': 'rs.canvas.'}


def canvases(whose):
    """By name: the canvas, how much it tells beside its results, and whether all of its results come."""
    sides = itertools.cycle(KINDS[whose])

    def task(name, *args, side=None, **kwargs):
        side = side or next(sides)
        return app.signature(NAMES[side] + name, args=args, kwargs=kwargs, queue=side)

    def fixed(name, *args):
        """One that takes no result."""
        return task(name, *args).set(immutable=True)

    def adds(count):
        return [task('add', number, number) for number in range(count)]

    def tells(case):
        return task('tell_of', case=case)

    def old(case):
        return task('errback', case=case)

    def new(case, side):
        """It is called in place by workers that have it."""
        return task('errback_in_place', case=case, side=side)

    def late(signature):
        return signature.set(expires=-5)

    def fails(text='no', side=None):
        return task('fail', text, side=side).set(immutable=True)

    def one_side(make):
        """One whose inner task is where it is."""
        side = next(sides)
        return make(side).set(queue=side)

    cases = {}

    def case(name, canvas, told=0, comes=True):
        cases[name] = canvas, told, comes

    case('chain', task('add', 1, 2) | task('mul', 10) | task('add', 5))
    case('chain immutable', task('add', 1, 2) | fixed('add', 20, 22) | task('mul', 2))
    case('chain in chain', chain(task('add', 1, 1), chain(task('mul', 2), task('add', 1)), task('mul', 3)))
    case('chain of many', chain([task('add', 1, 1)] + [task('add', 1) for _ in range(12)]))
    case('chain fails first', fails() | task('mul', 10) | task('add', 5))
    case('chain fails in the middle', task('add', 1, 2) | task('fail_with', 'no') | task('mul', 2) | task('add', 5))
    case('chain fails last', task('add', 1, 2) | task('fail_with', 'no'))

    case('group', group(adds(4)))
    case('group of one', group(adds(1)))
    case('group in group', group(task('add', 1, 1), group(task('add', 2, 2), task('mul', 2, 3)), task('add', 3, 3)))
    case('chain in group', group(task('add', 1, 1) | task('mul', 3), task('add', 2, 2)))
    case('group fails', group(task('add', 1, 1), fails(), task('add', 2, 2)))
    case('group with a late one', group(task('add', 1, 1), late(task('add', 2, 2))))
    case('chain to group', task('add', 1, 2) | group(task('mul', 2), task('mul', 3)))
    case('group to group', group(adds(2)) | group(task('total'), task('echo')))
    case('groups in a row', task('add', 1, 1) | group(task('add', 1), task('add', 2)) | group(task('total'), task('echo'))
         | task('echo'))

    case('chord', chord(adds(5), task('total')))
    case('chord by pipe', group(adds(5)) | task('total'))
    case('chord of one', chord(adds(1), task('total')))
    case('chord of none', chord([], task('total')))
    case('chord with a body that takes nothing', chord(adds(2), fixed('add', 4, 5)))
    case('chord with arguments in its body', chord(adds(2), task('tell_of', case='arguments')), 1)
    case('chord fails', chord([task('add', 1, 1), fails(), task('add', 2, 2)], task('total')))
    case('chord fails twice', chord([fails('one'), task('add', 1, 1), fails('two')], task('total')))
    case('chord with a late one', chord([task('add', 1, 1), late(task('add', 2, 2))], task('total')))
    case('body fails', chord(adds(2), task('fail_with', 'no')))
    case('chord in chain', task('add', 1, 2) | group(task('add', 1), task('add', 2)) | task('total') | task('mul', 2))
    case('chain after chord', chord(adds(3), task('total')) | task('mul', 2) | task('add', 1))
    case('chord fails in chain', task('add', 1, 2) | group(task('add', 1), task('fail_with', 'no')) | task('total') | task('mul', 2))
    case('chain in header', chord([task('add', 1, 1) | task('mul', 3), task('add', 2, 2)], task('total')))
    case('chain in header fails', chord([fails() | task('mul', 3), task('add', 2, 2)], task('total')))
    case('group in header', chord([group(task('add', 1, 1), task('add', 2, 2)), task('add', 3, 3)], task('echo')))
    case('chord in header', chord([chord([task('add', 1, 1), task('add', 2, 2)], task('total')), task('add', 3, 3)], task('total')))
    # Celery's own workers never fail the outer one.
    case('chord in header fails', chord([chord([task('add', 1, 1), fails()], task('total')), task('add', 3, 3)], task('total')),
         comes=whose == 'rust')
    case('chain with a chord in header', chord([task('add', 1, 1) | group(task('add', 1), task('add', 2)) | task('total'),
                                                task('add', 3, 3)], task('total')))
    case('body is a chain', chord(adds(3), task('total') | task('mul', 2) | task('add', 1)))
    case('body is a chain and fails', chord(adds(3), task('total') | task('fail_with', 'no') | task('add', 1)))
    case('body is a chain and the header fails', chord([task('add', 1, 1), fails()], task('total') | task('mul', 2)))
    case('body is a group', chord(adds(3), group(task('total'), task('echo'))))
    case('body is a group and the header fails', chord([task('add', 1, 1), fails()], group(task('total'), task('echo'))))
    case('body is a chord', chord(adds(2), chord([task('echo'), task('total')], task('echo'))))
    case('header does not keep its results', chord([task('add', 1, 1).set(ignore_result=True), task('add', 2, 2)], task('total')))

    case('link', task('add', 1, 2).set(link=[tells('link')]), 1)
    case('two links', task('add', 1, 2).set(link=[tells('links'), tells('links')]), 2)
    case('link of a chain', task('add', 1, 2).set(link=[task('mul', 2) | tells('link of a chain')]), 1)
    case('link of a group', task('add', 1, 2).set(link=[group(tells('link of a group'), tells('link of a group'))]), 2)
    linked = task('add', 1, 2) | task('mul', 2)
    linked.link(tells('chain with a link'))
    case('chain with a link', linked, 1)
    linked = chord(adds(2), task('total'))
    linked.link(tells('chord with a link'))
    case('chord with a link', linked, 1)
    case('link_error', fails().set(link_error=[old('link_error')]), 1)
    # Who is called in place is where the task failed.
    case('link_error in place', one_side(lambda side: fails(side=side).set(link_error=[new('link_error in place', side)])), 1)
    case('two link_errors', one_side(lambda side: fails(side=side).set(link_error=[old('two'), new('two', side)])), 2)
    for name, canvas, told in (
            ('chain', task('add', 1, 2) | task('fail_with', 'no') | task('mul', 2), 1),
            ('group', group(task('add', 1, 1), fails()), 1),
            ('chord', chord([task('add', 1, 1), fails()], task('total')), 1),
            ('body', chord(adds(2), task('fail_with', 'no')), 1),
    ):
        canvas.link_error(old(name + ' with link_error'))
        case(name + ' with link_error', canvas, told)

    case('map', one_side(lambda side: xmap(task('total', side=side), [[1, 2], [3, 4]], app=app)))
    case('starmap', one_side(lambda side: xstarmap(task('add', side=side), [[1, 2], [3, 4]], app=app)))
    case('map to task', one_side(lambda side: xmap(task('total', side=side), [[1, 2], [3, 4]], app=app)) | task('total'))
    case('map fails', one_side(lambda side: xmap(task('fail', side=side), ['one', 'two'], app=app)))
    for size in (2, 3):
        side = next(sides)
        pieces = chunks(task('add', side=side), [(number, number) for number in range(6)], size, app=app).group()
        for piece in pieces.tasks:
            piece.set(queue=side)
        case('chunks of %s' % size, pieces)

    def inner(*names):
        return chain(task('add', 5, 5), task('mul', 2)) if names == ('chain',) else {
            'task': lambda: task('add', 5, 6),
            'group': lambda: group(task('add', 1, 1), task('add', 2, 2)),
            'chord': lambda: chord([task('add', 1, 1), task('add', 2, 2)], task('total')),
            'failure': lambda: fails('replaced'),
            'replacement': lambda: task('replace', task('add', 7, 7)),
        }[names[0]]()

    for kind in ('task', 'chain', 'group', 'chord', 'failure', 'replacement'):
        case('replace with ' + kind, task('replace', inner(kind)))
        case('replace with %s in chain' % kind, task('replace', inner(kind)) | task('echo'))
        case('replace with %s in header' % kind, chord([task('replace', inner(kind)), task('add', 1, 1)], task('echo')))
    case('replace in the middle', task('add', 1, 2) | task('replace_with', task('mul', 3)) | task('add', 1))
    case('replace in group', group(task('replace', inner('task')), task('add', 1, 1)))
    case('replace in body', chord(adds(2), task('replace_with', task('total')) | task('mul', 2)))
    case('replace with a link', task('replace', inner('task')).set(link=[tells('replace')]), 1)
    case('replace with link_error', task('replace', inner('failure')).set(link_error=[old('replaced')]), 1)
    case('add_to_chord', chord([task('grow', task('add', 5, 5)), task('add', 1, 1)], task('total')))

    case('child', task('start', task('add', 1, 2)))
    case('child chain', task('start', task('add', 1, 2) | task('mul', 2)))
    case('child group', task('start', group(adds(2))))
    case('child chord', task('start', chord(adds(2), task('total'))))

    case('family of a chain', task('family') | fixed('family') | fixed('family'))
    case('family of a group', group(task('family'), task('family')))
    case('family of a chord', chord([task('family')], task('echo')) | fixed('family'))
    case('family of a chain to group', task('family') | group(fixed('family'), fixed('family')))
    case('family of a replaced', task('replace', task('family')))
    case('family of a child', task('start', task('family')))
    case('priority', task('priority').set(priority=6) | fixed('priority'))
    case('priority of a chord', chord([task('priority').set(priority=6)], task('priority')))
    stamped = task('stamps') | fixed('stamps')
    stamped.stamp(tenant='a')
    case('stamps of a chain', stamped)
    stamped = chord([task('stamps'), task('stamps')], task('echo'))
    stamped.stamp(tenant='b')
    case('stamps of a chord', stamped)
    stamped = group(task('stamps'), task('stamps'))
    stamped.stamp(tenant=['c', 'd'])
    case('stamps of a group', stamped)
    stamped = task('start', task('stamps'))
    stamped.stamp(tenant='e')
    case('stamps of a child', stamped)
    return cases


def describe(whose):
    return {name: {'signature': canvas, 'told': told, 'comes': comes}
            for name, (canvas, told, comes) in canvases(whose).items()}


def send(whose):
    sent = {}
    for name, (canvas, told, comes) in canvases(whose).items():
        result = canvas.apply_async()
        sent[name] = {'result': result.as_tuple(), 'told': told, 'comes': comes}
    client().set(PREFIX + 'sent', dumps(sent))
    return {}


def stored(id):
    return app.backend.get_task_meta(id, cache=False)


class Look:
    """What came of one canvas."""

    def __init__(self, result):
        self.names = {}
        self.result = result

    def leaves(self, node):
        (id, _), members = node
        return [id] if members is None else [leaf for member in members for leaf in self.leaves(member)]

    def missing(self, last):
        """What did not come of what was sent and published; of the last, if that is waited for, or else of what it followed."""
        (_, parent), _ = self.result
        pending, seen, missing = self.leaves(self.result if last else parent), set(), []
        while pending:
            id = pending.pop()
            if id in seen:
                continue
            seen.add(id)
            meta = stored(id)
            if meta['status'] not in READY_STATES:
                missing.append(id)
            for child in meta.get('children') or []:
                pending += self.leaves(child)
        return missing

    def name(self, id):
        return self.names.setdefault(id, '<%s>' % len(self.names))

    def tell(self, node):
        """All that is known of it."""
        (id, parent), members = node
        known = id in self.names
        told = {'id': self.name(id)}
        if parent:
            told['parent'] = self.tell(parent)
        if members is not None:
            told['members'] = [self.tell(member) for member in members]
        elif not known:
            meta = stored(id)
            told['state'], result = meta['status'], meta['result']
            if meta['status'] in EXCEPTION_STATES:
                told['raised'] = '%s.%s%r' % (type(result).__module__, type(result).__name__, result.args)
            else:
                told['result'] = result
            if meta.get('children'):
                told['children'] = [self.tell(child) for child in meta['children']]
        return told

    def named(self, told):
        text = json.dumps(told, sort_keys=True)
        for id, name in self.names.items():
            text = text.replace(id, name)
        # Those of groups of which no result tells.
        for number, id in enumerate(dict.fromkeys(UUID.findall(text))):
            text = text.replace(id, '<other %s>' % number)
        return json.loads(text)


def look():
    sent = json.loads(client().get(PREFIX + 'sent'))
    looks = {name: Look(case['result']) for name, case in sent.items()}
    end = time.monotonic() + LIMIT
    for name, one in looks.items():
        while one.missing(sent[name]['comes']) and time.monotonic() < end:
            time.sleep(0.02)
    expected = sum(case['told'] for case in sent.values())
    lines = []
    while len(lines) < expected and time.monotonic() < end:
        line = client().blpop([PREFIX + 'told'], timeout=1)
        lines += [line[1].decode()] if line else []
    # What is told too often comes at the latest with what is sent now.
    lines += [line.decode() for line in client().lrange(PREFIX + 'told', 0, -1)]
    came = {name: {'stored': one.tell(one.result)} for name, one in looks.items()}
    names = {id: name for one in looks.values() for id, name in one.names.items()}
    told = []
    for line in lines:
        for id, name in names.items():
            line = line.replace(id, name)
        told.append(line)
    return {**{name: looks[name].named(case) for name, case in came.items()}, 'told': sorted(told)}


def groups(id):
    saved = group(app.signature('rs.canvas.add', (number, 1), queue='rs') for number in range(3)).apply_async()
    saved.save()
    restored = GroupResult.restore(id)
    key = PREFIX + 'celery-taskset-meta-'
    lifetimes = [86000 < client().ttl(key + group) <= 86400 for group in (saved.id, id)]
    restored.delete()
    return {
        'saved': saved.as_tuple(), 'restored': restored.as_tuple(), 'values': restored.get(timeout=LIMIT),
        'completed': restored.completed_count(), 'live_a_day': lifetimes,
        'deleted': GroupResult.restore(id) is None,
    }


def graph(id):
    drawn = io.StringIO()
    AsyncResult(id).graph.to_dot(drawn)
    return {'drawn': drawn.getvalue(), 'collected': [[result.id, value] for result, value in AsyncResult(id).collect()]}


if __name__ == '__main__':
    commands = {command.__name__: command for command in (describe, send, look, groups, graph)}
    print(dumps(commands[sys.argv[1]](*sys.argv[2:])))
    sys.stdout.flush()
    # Results that are left to the end of the interpreter complain that they cannot end their subscriptions then.
    os._exit(0)
