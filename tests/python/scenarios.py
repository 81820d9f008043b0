"""What a Python program does with a fleet that our workers are part of; prints a JSON document of what came of it.

`python scenarios.py <name>` runs one scenario. Each case of it is told as `outcome` tells it.
"""
import datetime
import decimal
import functools
import json
import operator
import sys
import time
import uuid

from celery import Celery, chain, chord, group, signature
from celery.bin.celery import celery as commands
from celery.canvas import StampingVisitor, maybe_signature, xstarmap
from celery.result import AsyncResult
from click.testing import CliRunner
from kombu.utils import json as kombu_json

from proj.celery import app, conf
from proj.tasks import PREFIX, client

LIMIT = 30
UTC = datetime.timezone.utc
SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def task(name, *args, **kwargs):
    return app.signature(name, args=args, kwargs=kwargs)


def outcome(result):
    """Waits for a result; tells how the task ended, as a caller sees it."""
    told = {}
    try:
        told['result'] = result.get(timeout=LIMIT)
    except Exception as exc:
        told['raised'] = {
            'class': type(exc).__name__, 'module': type(exc).__module__, 'args': list(exc.args), 'text': str(exc),
            'bases': [base.__name__ for base in type(exc).__mro__],
        }
    return {**told, 'id': result.id, 'state': result.state, 'traceback': result.traceback}


def outcomes(results):
    return {case: outcome(result) for case, result in results.items()}


def until(condition, what):
    """Waits until the condition holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def open_gate(gate):
    client().rpush(PREFIX + 'gate:' + gate, 'open')


@scenario
def calls():
    """Every way of calling a task."""
    add, request = task('rs.add'), task('rs.request')
    now = datetime.datetime.now(UTC)
    soon = now + datetime.timedelta(seconds=1)
    old = Celery('old', set_as_current=False)
    old.conf.update(conf, task_protocol=1)
    linked, errback = task('rs.mul', 10), task('rs.echo')
    first, second = task('rs.add', 1), task('rs.add', 2)
    for callback in (linked, errback, first, second):
        callback.freeze()
    results = {
        'args': add.delay(2, 3),
        'kwargs': add.delay(x=2, y=3),
        'mixed': add.delay(2, y=3),
        'apply_async': add.apply_async((2,), {'y': 3}),
        'partial': task('rs.add', 2).delay(5),
        'none': task('rs.echo').delay(),
        'eta': task('rs.due', soon.timestamp()).apply_async(eta=soon),
        'eta_offset': task('rs.due', soon.timestamp()).apply_async(
            eta=soon.astimezone(datetime.timezone(datetime.timedelta(hours=-7)))),
        # A date without an offset is in UTC, whatever `timezone` says.
        'eta_naive': task('rs.due', soon.timestamp()).apply_async(eta=soon.replace(tzinfo=None)),
        'countdown': task('rs.due', now.timestamp() + 1).apply_async(countdown=1),
        'expires': add.apply_async((2, 3), expires=60),
        'expires_at': add.apply_async((2, 3), expires=now + datetime.timedelta(hours=1)),
        'expired': add.apply_async((2, 3), expires=now - datetime.timedelta(seconds=5)),
        'expires_before_eta': add.apply_async((2, 3), countdown=1, expires=now + datetime.timedelta(seconds=0.5)),
        'priority': request.apply_async(priority=6),
        'link': add.apply_async((2, 3), link=linked),
        'link_error': task('rs.make_tea').apply_async(link_error=errback),
        'links': add.apply_async((2, 3), link=[first, second]),
        'headers': request.apply_async(headers={'x-trace': 'abc', 'nested': {'a': [1, None]}}),
        'shadow': request.apply_async(shadow='pretty name'),
        'own_id': request.apply_async(task_id='own ' + PREFIX),
        'argsrepr': request.apply_async(argsrepr='(secret)'),
        'time_limits': request.apply_async(time_limit=60, soft_time_limit=50.5),
        'soft_limit_heard': task('rs.tidy').apply_async(soft_time_limit=0.2),
        'soft_limit': task('rs.endless').apply_async(soft_time_limit=0.2),
        'hard_limit': task('rs.endless').apply_async(time_limit=0.5),
        'unicode': task('rs.echo').delay('h\u00e9llo \U0001f600 \ud800'.encode('utf-8', 'ignore').decode()),
        'big': task('rs.echo').delay(2 ** 63),
        'bigger': task('rs.echo').delay(-2 ** 100),
        'floats': task('rs.echo').delay([0.1, 1e300, 1.0]),
    }
    for serializer in ('json', 'msgpack', 'yaml'):
        results[serializer] = task('rs.echo').apply_async(
            ([1, 'two', None, True, {'three': 3.5}],), serializer=serializer)
        for compression in ('zlib', 'bzip2', 'zstd'):
            results['%s_%s' % (serializer, compression)] = task('rs.echo').apply_async(
                ('x' * 5000,), serializer=serializer, compression=compression)
    with_link = old.signature('rs.mul', (10,))
    with_link.freeze()
    for case, result in {
        'protocol1': old.send_task('rs.add', (2,), {'y': 3}),
        'protocol1_request': old.send_task('rs.request'),
        'protocol1_eta': old.send_task('rs.due', (soon.timestamp(),), eta=soon),
        'protocol1_expired': old.send_task('rs.add', (2, 3), expires=now - datetime.timedelta(seconds=5)),
        'protocol1_link': old.send_task('rs.add', (2, 3), link=with_link),
        'protocol1_retry': old.send_task('rs.retry_once', ('again',)),
    }.items():
        results[case] = AsyncResult(result.id, app=app)
    told = outcomes(results)
    told['link_callback'] = outcome(AsyncResult(linked.id))
    told['link_children'] = {'ids': [child.id for child in results['link'].children], 'callback': linked.id}
    told['links_first'], told['links_second'] = outcome(AsyncResult(first.id)), outcome(AsyncResult(second.id))
    told['link_error_callback'] = outcome(AsyncResult(errback.id))
    told['protocol1_link_callback'] = outcome(AsyncResult(with_link.id))
    ignored = task('rs.note', 'ignored').apply_async(ignore_result=True)
    assert client().blpop([PREFIX + 'noted'], timeout=LIMIT), 'it never ran'
    outcome(add.delay(1, 1))
    told['ignore_result'] = {'state': AsyncResult(ignored.id).state, 'result': AsyncResult(ignored.id).result}
    return told


@scenario
def states():
    """How tasks end, and what is seen of them meanwhile."""
    results = {
        'builtin': task('rs.fail', 'builtins', 'ValueError', ['bad', 3]).delay(),
        'ours': task('rs.fail', 'proj.tasks', 'OutOfCheese', ['gone', 7]).delay(),
        'by_name': task('rs.fail', 'no.such.module', 'Strange', ['odd']).delay(),
        'rust_error': task('rs.make_tea').delay(),
        'panic': task('rs.panics', 'out of luck').delay(),
        'missing_argument': task('rs.add', 1).delay(),
        'surplus_argument': task('rs.add', 1, 2, 3).delay(),
        'unknown_argument': task('rs.add', 1, z=2).delay(),
        'wrong_type': task('rs.add', 1, 'two').delay(),
        'unregistered': task('rs.nowhere').delay(),
        'exhausted': task('rs.exhaust').delay(),
        'expired': task('rs.add', 1, 2).apply_async(expires=-5),
    }
    retried = task('rs.retry_once', 'again', countdown=1.5).delay()
    until(lambda: retried.state == 'RETRY', 'it is not retried')
    seen = retried.result
    told = {'retry': {'class': type(seen).__name__, 'text': str(seen), 'traceback': retried.traceback}}
    tracked, progress = task('rs.tracked', 'tracked').delay(), task('rs.progress', 'progress').delay()
    until(lambda: tracked.state == 'STARTED', 'it never starts')
    told['started'] = {'info': tracked.info, 'ready': tracked.ready()}
    until(lambda: progress.state == 'PROGRESS', 'it makes no progress')
    told['progress'] = {'info': progress.info, 'ready': progress.ready()}
    open_gate('tracked')
    open_gate('progress')
    results.update(retried=retried, tracked=tracked, progressed=progress)
    told.update(outcomes(results))
    nothing = task('rs.ignore').delay()
    outcome(task('rs.add', 1, 2).delay())
    told['ignored'] = {'state': nothing.state, 'unknown': AsyncResult('no-such-id').state}
    gone = task('rs.add', 1, 2).delay()
    outcome(gone)
    gone.forget()
    told['forgotten'] = {'state': AsyncResult(gone.id).state}
    return told


KINDS = {
    'aware': datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    'naive': datetime.datetime(2024, 5, 6, 7, 8, 9),
    'day': datetime.date(2024, 5, 6),
    'hour': datetime.time(7, 8, 9, 1000),
    'price': decimal.Decimal('1.50'),
    'id': uuid.UUID('12345678123456781234567812345678'),
    'text': 'utf-8 h\u00e9'.encode(),
    'binary': b'\xff\xfe\x00',
}


@scenario
def values():
    """Python's own types, there and back."""
    def compare(result):
        value = result.get(timeout=LIMIT)
        return {kind: value.get(kind) == sent and type(value[kind]) is type(sent) or repr(value.get(kind))
                for kind, sent in KINDS.items()}

    results = {'untouched': task('rs.echo', KINDS).delay(), 'typed': task('rs.kinds', KINDS).delay()}
    told = {case: compare(result) for case, result in results.items()}
    # What msgpack and YAML have no form for, Python's own client refuses to send.
    plain = {
        'msgpack': {'text': 'h\u00e9', 'int': 2 ** 40, 'negative': -3, 'float': 0.25, 'none': None, 'list': [[], {}, True]},
        'yaml': {'text': 'yes', 'lines': 'a\n b\n', 'float': 0.25, 'list': [None, False, '1', 'null', '2024-01-01'],
                 'day': KINDS['day'], 'naive': KINDS['naive']},
    }
    for serializer, value in plain.items():
        result = task('rs.echo').apply_async((value,), serializer=serializer)
        told[serializer] = {'equal': result.get(timeout=LIMIT) == value or repr(result.get())}
    special = task('rs.echo', [float('inf'), float('-inf'), float('nan'), 1.0, (1, 2)]).delay().get(timeout=LIMIT)
    told['special'] = {'repr': repr(special)}
    return told


@scenario
def chains():
    """Chains whose steps run alternately here and there."""
    step = {
        'alternating': chain(task('rs.add', 1, 2), task('proj.tasks.mul', 10).set(queue='py'), task('rs.add', 5),
                             task('proj.tasks.echo').set(queue='py')),
        'python_first': chain(task('proj.tasks.add', 1, 2).set(queue='py'), task('rs.mul', 7)),
        'immutable': chain(task('rs.add', 1, 2), task('proj.tasks.add', 20, 22).set(queue='py', immutable=True)),
        'fails_in_rust': chain(task('proj.tasks.add', 1, 2).set(queue='py'), task('rs.make_tea').set(immutable=True),
                               task('proj.tasks.echo').set(queue='py')),
        'fails_in_python': chain(task('rs.add', 1, 2), task('proj.tasks.fail').set(queue='py', immutable=True),
                                 task('rs.echo')),
        'retried_step': chain(task('rs.retry_once', 'r'), task('proj.tasks.echo').set(queue='py')),
        'with_link': chain(task('rs.add', 1, 2), task('rs.mul', 2)),
    }
    callback = task('proj.tasks.mul', 100).set(queue='py')
    callback.freeze()
    results = {case: canvas.apply_async(**({'link': callback} if case == 'with_link' else {}))
               for case, canvas in step.items()}
    told = outcomes(results)
    told['with_link_callback'] = outcome(AsyncResult(callback.id))
    last = results['alternating']
    ids = []
    while last is not None:
        ids.append(last.id)
        last = last.parent
    metas = [app.backend.get_task_meta(id) for id in reversed(ids)]
    told['steps'] = {'results': [meta['result'] for meta in metas]}
    described = chain(task('rs.request'), task('proj.tasks.request').set(queue='py', immutable=True),
                      task('rs.request').set(immutable=True)).apply_async()
    third = described.get(timeout=LIMIT)
    second, first = described.parent.get(), described.parent.parent.get()
    told['family'] = {'roots': [step['root_id'] == first['id'] for step in (first, second, third)],
                      'parents': [first['parent_id'], second['parent_id'] == first['id'],
                                  third['parent_id'] == second['id']]}
    return told


@scenario
def stored():
    """What is in the result backend of tasks that run here and there, and whether each side may read the other."""
    results = {
        'success': task('rs.add', 2, y=3).delay(),
        'failure': task('rs.fail', 'proj.tasks', 'OutOfCheese', ['gone', 7]).delay(),
        'large': task('rs.echo', 'x' * 3000).delay(),
    }
    told = outcomes(results)
    for case, result in results.items():
        meta = app.backend.get_task_meta(result.id)
        told[case]['meta'] = {key: value for key, value in meta.items() if key not in ('result', 'traceback', 'children')}
        told[case]['date_done'] = meta['date_done'] is not None
        told[case]['meta'].pop('date_done')
        ttl = client().ttl(PREFIX + 'celery-task-meta-' + result.id)
        told[case]['lives_a_day'] = 86000 < ttl <= 86400
        raw = client().get(PREFIX + 'celery-task-meta-' + result.id)
        told[case]['compressed'] = raw.startswith(b'\x00celery-compressed\x00')
        told[case]['bytes'] = len(raw)
    return told


@scenario
def inspect():
    """Remote control, as the command line asks for it."""
    inspector = app.control.inspect(timeout=5, limit=2)
    names = inspector.registered() or {}
    return {
        'ping': {'replies': inspector.ping()},
        'control_ping': {'replies': app.control.ping(timeout=5, limit=2)},
        'to_one': {'replies': app.control.inspect(destination=['rust@interop'], timeout=5).ping()},
        'registered': {'replies': {node: [name for name in tasks if name.startswith(('rs.add', 'proj.tasks.add'))]
                                   for node, tasks in names.items()}},
    }


@scenario
def publish_topic():
    """Publishes to an exchange with routing keys, some of which lead to the queue that our worker consumes."""
    keys = ('orders.eu.new', 'orders.us.new', 'orders.eu.old.gone', 'invoices.eu.new')
    for key in keys:
        task('rs.note', key).apply_async(exchange='orders', routing_key=key)
    return {'published': keys}


@scenario
def publish_priorities():
    """The least urgent first."""
    for priority in (9, 7, 6, 5, 3, 1, 0):
        task('rs.note', str(priority)).apply_async(priority=priority)
    return {}


@scenario
def publish_counts():
    """Fills the queue that both sides consume."""
    wanted = json.loads(client().get(PREFIX + 'wanted'))
    with app.producer_or_acquire() as producer:
        for number in range(wanted['count']):
            options = {'countdown': wanted['countdown'] + number % 10 / 10} if wanted['countdown'] else {}
            task('fleet.count', number).apply_async(producer=producer, ignore_result=True, **options)
    return {}


@scenario
def publish_variety():
    """Publishes messages of several forms, none of which anybody runs."""
    task('variety.plain', 1, text='Grüße').apply_async(priority=6)
    task('variety.packed', 'x' * 2000).apply_async(compression='zlib', serializer='msgpack', expires=3600)
    task('variety.linked', 2).apply_async(link=task('variety.plain'), headers={'own': [1, None]}, countdown=60)
    task('variety.other', 3).apply_async()
    return {}


@scenario
def canvases():
    """Calls signatures that are written down; tells what each comes to."""
    forms = json.loads(client().get(PREFIX + 'wanted'))
    results = [signature(form, app=app).apply_async() for form in forms]
    return {'values': [result.get(timeout=LIMIT) for result in results]}


def drawn(sketch):
    """A canvas by its sketch, put together as Celery's users do."""
    kind, of = sketch[0], sketch[1]
    if kind == 'tag':
        tag = task('canvases.tag', of)
        if of % 5 == 0:
            tag.link(task('canvases.tag', of))
        return tag
    if kind == 'total':
        return task('canvases.total', of)
    if kind == 'fixed':
        return task('canvases.tag', of, 0).set(immutable=True)
    if kind == 'starmap':
        return xstarmap(task('canvases.tag'), [[call, of] for call in range(of % 4)], app=app)
    if kind == 'chord':
        return chord([drawn(member) for member in of], drawn(sketch[2]))
    parts = [drawn(part) for part in of]
    if kind == 'pipe':
        return functools.reduce(operator.or_, parts)
    return {'chain': chain, 'group': group}[kind](parts)


@scenario
def drawings():
    """Draws sketches; tells each signature as it is written."""
    sketches = json.loads(client().get(PREFIX + 'wanted'))
    return {'forms': [json.loads(kombu_json.dumps(drawn(sketch))) for sketch in sketches]}


class Teller(StampingVisitor):
    """Stamps each part with what it is asked of it, and in which order."""
    asked = 0

    def told(self, name):
        self.asked += 1
        return {'at_' + name: self.asked}

    def on_signature(self, sig, **headers):
        return self.told('task')

    def on_group_start(self, group, **headers):
        return self.told('group')

    def on_group_end(self, group, **headers):
        self.told('end')

    def on_chain_start(self, chain, **headers):
        return self.told('chain')

    def on_chain_end(self, chain, **headers):
        self.told('end')

    def on_chord_body(self, sig, **headers):
        return self.told('body')

    def on_callback(self, callback, **headers):
        return self.told('callback')


def stamps(sig):
    """The stamps of each task in it, after those of its callbacks."""
    sig = maybe_signature(sig, app=app)
    found = [stamp for link in sig.options.get('link', []) for stamp in stamps(link)]
    if sig.subtask_type is None:
        names = sig.options.get('stamped_headers', [])
        # Some of Celery's names are of stamps that other parts have.
        return [*found, [sig.task, {name: sig.options[name] for name in names if name in sig.options}]]
    members = sig.tasks
    if sig.subtask_type == 'chord':
        members = [*(members.tasks if isinstance(members, group) else members), sig.body]
    return [*found, *(stamp for member in members for stamp in stamps(member))]


@scenario
def stampings():
    """Stamps what sketches draw; tells the stamps of each task."""
    told = []
    for sketch in json.loads(client().get(PREFIX + 'wanted')):
        sig = drawn(sketch)
        sig.stamp(Teller(), all=True)
        told.append(stamps(sig))
    return {'stamps': told}


@scenario
def children():
    """Tasks that end with the child process in which they run."""
    return outcomes({
        'killed': task('fleet.die', 'KILL').delay(),
        'spinning': task('fleet.spin', 'spin').apply_async(time_limit=1),
        'after': task('fleet.add', 1, 2).delay(),
    })


@scenario
def mixed_chords():
    """Chords whose parts and bodies are run by either side, as the queues say."""
    def of(numbers, parts, body, name):
        header = [task('fleet.part', number).set(queue=parts[at % len(parts)]) for at, number in enumerate(numbers)]
        body = task('fleet.gather', name).set(queue=body).on_error(task('fleet.told').set(queue=body))
        return chord(header)(body)

    sent = {}
    for name, (parts, body) in {
        'python to rust': (['py'], 'rs'), 'rust to python': (['rs'], 'py'),
        'both to rust': (['py', 'rs'], 'rs'), 'both to python': (['rs', 'py'], 'py'),
    }.items():
        sent[name] = of(range(10), parts, body, name)
        sent[name + ', failing'] = of([0, 1, 2, -3, 4], parts, body, name + ', failing')
    return outcomes(sent)


@scenario
def celery_lines():
    """Runs command lines of Celery's; tells how each exits."""
    lines = json.loads(sys.argv[2])
    runner = CliRunner()
    codes = {}
    for line in lines:
        arguments = ['-A', 'proj.celery', *line.split()]
        codes[line] = runner.invoke(commands, arguments, input='n\n', auto_envvar_prefix='CELERY').exit_code
    return {'codes': codes}


@scenario
def celery_options():
    """Tells the options of every command of Celery's, and which of them take a value."""
    def walk(command, name):
        options = [parameter for parameter in command.params if parameter.param_type_name == 'option']
        told = {name: {flag: not option.is_flag for option in options for flag in option.opts + option.secondary_opts}}
        for sub, under in getattr(command, 'commands', {}).items():
            told.update(walk(under, f'{name} {sub}'.strip()))
        return told

    return walk(commands, '')


if __name__ == '__main__':
    json.dump(SCENARIOS[sys.argv[1]](), sys.stdout, default=repr, indent=1)
