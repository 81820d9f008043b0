"""Canvases, and what real Celery sends for them, without a broker.

Writes the fixture of the planner's tests: `python tests/python/canvases.py > celery-core/tests/fixtures/canvases.json`.
"""
import json
import random
import re
import warnings

warnings.simplefilter('ignore')

from celery import Celery, chain, group, chord, signature
from celery.canvas import _chain
from kombu.utils.json import dumps

app = Celery('canvases', broker='memory://', backend='cache+memory://')
app.conf.task_protocol = 2


def nothing(*args, **kwargs):
    pass


for name in ('a', 'b', 'c', 'd', 'e', 'f', 'sum', 'err', 'done'):
    app.task(name=name)(nothing)

sent, joins = [], []

class Noted:
    def ensure_chords_allowed(self): pass
    def apply_chord(self, header_result_args, body, **kwargs):
        joins.append({'header': app.GroupResult(*header_result_args).as_tuple()})
    def set_chord_size(self, group_id, size):
        for join in joins:
            if join['header'][0][0] == group_id:
                join['size'] = size
    def on_task_call(self, *args, **kwargs): pass

for name in ('ensure_chords_allowed', 'apply_chord', 'set_chord_size', 'on_task_call'):
    setattr(app.backend, name, getattr(Noted(), name))
app.backend.add_pending_results = lambda *a, **k: None
app.backend.add_pending_result = lambda r, *a, **k: r

def note(producer, name, message, exchange=None, routing_key=None, queue=None, priority=None, **options):
    args, kwargs, embed = json.loads(dumps(message.body))
    h = message.headers
    sent.append({
        'task': name, 'args': args, 'kwargs': kwargs, **embed,
        **{key: h[key] for key in ('id', 'group', 'group_index', 'root_id', 'parent_id', 'replaced_task_nesting', 'stamped_headers', 'stamps')},
        'has_eta': h['eta'] is not None,
        'queue': routing_key or getattr(queue, 'name', queue), 'priority': priority or 0,
        'correlation_id': message.properties['correlation_id'], 'reply_to': message.properties['reply_to'],
    })
app.amqp.__dict__['send_task_message'] = note

def t(name, *args, **options):
    sig = app.signature(name, args=args)
    sig.options.update(options)
    return sig

cases = []
def case(name, sig, *args, **options):
    sent.clear(); joins.clear()
    spec = json.loads(dumps(sig))
    entry = {'name': name, 'spec': spec}
    if args: entry['args'] = args
    if options: entry['options'] = json.loads(dumps(options))
    try:
        result = signature(json.loads(dumps(sig)), app=app).apply_async(args, **options)
        entry['sent'] = list(sent)
        entry['sizes'] = [join.get('size', 0) for join in joins]
        entry['result'] = result.as_tuple() if result is not None else None
    except Exception as exc:
        entry['error'] = repr(exc)
    cases.append(json.loads(dumps(entry)))

case('task', t('a', 1))
case('task with partial args', t('a', 1), 7)
case('immutable', t('a', 1).set(immutable=True), 7)
case('chain with partial args', chain(t('a', 1), t('b')), 7)
case('chain with countdown and queue', chain(t('a', 1), t('b')), countdown=5, queue='q')
case('chain with id', chain(t('a', 1), t('b')), task_id='11111111-1111-1111-1111-111111111111')
case('group with partial args', group(t('a', 1), t('b')), 7)
case('group with options', group(t('a', 1, queue='x'), t('b')), queue='y', priority=3)
case('group of chains', group(chain(t('a', 1), t('b')), t('c')))
case('group of chain to group', group(chain(t('a', 1), group(t('b'), t('c'))), t('d')))
case('group of chords', group(chord([t('a'), t('b')], t('sum')), t('c')))
case('nested groups', group(t('a'), group(t('b'), group(t('c'), t('d')), t('e')), t('f')))
case('chain ending in nested groups', chain(t('a'), group(t('b'), group(t('c'), t('d')), t('e'))))
case('chord of nested groups', chord([t('a'), group(t('b'), group(t('c'), t('d')), t('e')), t('f')], t('sum')))
case('chord with options', chord([t('a'), t('b')], t('sum')), queue='q', priority=4)
case('chord with countdown', chord([t('a'), t('b')], t('sum')), countdown=5)
case('chord with set countdown', chord([t('a'), t('b')], t('sum')).set(countdown=5))
case('chord with partial args', chord([t('a'), chain(t('b'), t('c'))], t('sum')), 7)
case('chord with id', chord([t('a'), t('b')], t('sum')), task_id='11111111-1111-1111-1111-111111111111')
case('chord of one', chord([t('a')], t('sum')))
case('chord with empty header', chord([], t('sum')))
case('chord of empty groups', chord([group()], t('sum')))
case('chord with chain body', chord([t('a'), t('b')], chain(t('sum'), t('c'))))
case('chord with group body', chord([t('a'), t('b')], group(t('c'), t('d'))))
case('chord with chord body', chord([t('a'), t('b')], chord([t('c'), t('d')], t('sum'))))
case('chord with body chain to group', chord([t('a'), t('b')], chain(t('sum'), group(t('c'), t('d')))))
case('chord with body chain of group', chord([t('a'), t('b')], chain(group(t('c'), t('d')), t('sum'), t('e'))))
case('group to group', chain(group(t('a'), t('b')), group(t('c'), t('d'))))
case('group to group to task', chain(group(t('a'), t('b')), group(t('c'), t('d')), t('sum')))
case('group to group to tasks', chain(group(t('a'), t('b')), group(t('c'), t('d')), t('sum'), t('e')))
case('task, group, task, group, task', chain(t('a'), group(t('b'), t('c')), t('sum'), group(t('d'), t('e')), t('sum')))
case('chord, task', chain(chord([t('a'), t('b')], t('sum')), t('c')))
case('chord, tasks', chain(chord([t('a'), t('b')], t('sum')), t('c'), t('d')))
case('task, chord, tasks', chain(t('a'), chord([t('a'), t('b')], t('sum')), t('c'), t('d')))
case('chord, chord', chain(chord([t('a'), t('b')], t('sum')), chord([t('c'), t('d')], t('sum'))))
case('chord, group', chain(chord([t('a'), t('b')], t('sum')), group(t('c'), t('d'))))
case('raw chain of chord with chain body', _chain(t('a'), chord([t('b'), t('c')], chain(t('sum'), t('d'))), t('e'), app=app))
case('raw chain of chains', _chain(t('a'), _chain(t('b'), t('c'), app=app), t('d'), app=app))
case('raw chain of empty', _chain(group(app=app), t('a'), group(app=app), _chain(app=app), t('b'), app=app), 7)
case('raw chain of group of one', _chain(t('a'), group(t('b')), t('c'), app=app))
case('raw chain of empty groups', _chain(group(app=app), group(app=app), app=app))
case('empty group', group(app=app))
case('chain with link', chain(t('a'), t('b')), link=t('done'), link_error=t('err'))
case('chain with link set', chain(t('a'), t('b')).set(link=[t('done')], link_error=[t('err')]))
case('chain with group and link_error', chain(t('a'), group(t('b'), t('c')), t('sum')), link_error=t('err'))
case('chain ending in group with link_error', chain(t('a'), group(t('b'), t('c'))), link_error=t('err'))
case('chain ending in group with link', chain(t('a'), group(t('b'), t('c'))), link=t('done'))
case('chord with link', chord([t('a'), t('b')], t('sum')), link=t('done'), link_error=t('err'))
case('chord with group body and link_error', chord([t('a'), t('b')], group(t('c'), t('d'))), link_error=t('err'))
case('chord with chain body and links', chord([t('a'), t('b')], chain(t('c'), t('d'))), link=t('done'), link_error=t('err'))
case('chord in chord in chord', chord([chord([chord([t('a'), t('b')], t('sum')), t('c')], t('sum')), t('d')], t('sum')))
case('chain with chord in header', chord([chain(t('a'), chord([t('b'), t('c')], t('sum'))), t('d')], t('sum')))
case('chain to group in header', chord([chain(t('a'), group(t('b'), t('c'))), t('d')], t('sum')))
case('chord of chain of chord and task', chord([chain(chord([t('a'), t('b')], t('sum')), t('c')), t('d')], t('sum')))
case('chord of chord with group body', chord([chord([t('a'), t('b')], group(t('c'), t('d'))), t('e')], t('sum')))
case('chord of chord with chain body', chord([chord([t('a'), t('b')], chain(t('c'), t('d'))), t('e')], t('sum')))
case('stamps', chain(t('a', stamped_headers=['x'], x=1), group(t('b', stamped_headers=['x'], x=2), t('c')), t('sum')))
case('group with stamps over stamps', group(t('a', stamped_headers=['x'], x=1), t('b')), stamped_headers=['y'], y=2)
case('immutable in chain of groups', chain(t('a').set(immutable=True), group(t('b').set(immutable=True), t('c')), t('sum')), 7)
case('chord in group with options', group(chord([t('a'), t('b')], t('sum')), t('c')), queue='q')
case('empty chain in group', group(t('a'), _chain(app=app), t('b'), app=app))
case('empty chain in chord', chord([t('a'), _chain(app=app), t('b')], t('sum'), app=app))
random.seed(5)
def some(depth):
    kind = random.choice(['task'] * (4 - depth) + ['chain', 'group', 'chord'] * (3 if depth < 3 else 0)) if depth < 3 else 'task'
    if kind == 'task':
        sig = t(random.choice('abcdef'), random.randint(0, 9))
        if random.random() < .15: sig.set(immutable=True)
        if random.random() < .1: sig.set(queue='q')
        if random.random() < .1: sig.link(t('done'))
        return sig
    several = [some(depth + 1) for _ in range(random.randint(1 if kind == 'chain' else 2, 3))]
    if kind == 'chain': return chain(several)
    if kind == 'group': return group(several)
    return chord(several, some(depth + 1))
n = 0
while n < 24:
    sig = some(0)
    if sig.subtask_type is None: continue
    args = [7] if random.random() < .2 else []
    options = random.choice([{}, {}, {}, {'queue': 'r'}, {'countdown': 3}, {'link_error': t('err')}, {'priority': 2}])
    if sig.subtask_type == 'group': options.pop('link_error', None)
    n += 1
    case('random %d' % n, sig, *args, **options)

def short(text):
    ids = {}
    return re.sub('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', lambda found: ids.setdefault(found[0], f'#{len(ids)}'), text)


def set_only(value):
    if isinstance(value, dict):
        return {key: set_only(it) for key, it in value.items() if it is not None and it != {}}
    return [set_only(it) for it in value] if isinstance(value, list) else value


print('[')
print(',\n'.join(short(json.dumps({
    **case, **({'sent': set_only(case['sent'])} if 'sent' in case else {}),
}, separators=(',', ':'))) for case in cases))
print(']')
