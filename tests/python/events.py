"""Events, as Python's Celery takes them.

`python events.py state <file>` feeds each list of events in a file to a `State` of its own, and prints what it makes of it.
`python events.py listen` prints every event that is heard, one a line, as JSON.
"""
import gc
import json
import sys

from celery.events.state import State

from proj.celery import app

TASK = ('state', 'name', 'args', 'kwargs', 'received', 'sent', 'started', 'rejected', 'succeeded', 'failed', 'retried',
        'revoked', 'eta', 'expires', 'retries', 'result', 'exception', 'timestamp', 'runtime', 'traceback', 'exchange',
        'routing_key', 'client', 'root_id', 'parent_id', 'queue', 'local_received')
WORKER = ('freq', 'active', 'processed', 'loadavg', 'pid', 'sw_ident', 'heartbeats')


def told(events):
    joined, left = [], []
    state = State(max_workers_in_memory=4, max_tasks_in_memory=6,
                  on_node_join=lambda worker: joined.append(worker.hostname),
                  on_node_leave=lambda worker: left.append(worker.hostname))
    for event in events:
        state.event(event)
    # Tasks are in circles: one that was dropped is only gone after this.
    gc.collect()
    tasks = {
        uuid: {
            **{field: getattr(task, field, None) for field in TASK},
            'clock': task.clock,
            'worker': task.worker and task.worker.hostname,
            'ready': task.ready,
            'children': sorted(child.id for child in task.children),
        }
        for uuid, task in state.tasks.items()
    }
    workers = {
        hostname: {field: getattr(worker, field, None) for field in WORKER}
        for hostname, worker in state.workers.items()
    }
    names = {task.name for task in state.tasks.values() if task.name}
    return {
        'tasks': tasks,
        'kept': list(state.tasks),
        'workers': workers,
        'workers_kept': list(state.workers),
        'by_time': [uuid for uuid, _ in state.tasks_by_time()],
        'by_type': {name: [uuid for uuid, _ in state.tasks_by_type(name)] for name in sorted(names)},
        'types': state.task_types(),
        'counts': [state.event_count, state.task_count],
        'joined': joined,
        'left': left,
    }


def listen():
    receiver = app.events.Receiver(app.connection_for_read(), handlers={'*': lambda event: print(json.dumps(event))})
    print('listening')
    receiver.capture()


if __name__ == '__main__':
    if sys.argv[1] == 'state':
        with open(sys.argv[2]) as file:
            print(json.dumps([told(events) for events in json.load(file)]))
    else:
        listen()
