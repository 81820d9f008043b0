"""The tasks of canvases: those of our workers have the same names but for what stands in front of them."""
from celery import shared_task
from celery.canvas import maybe_signature

from .tasks import PREFIX, client


def tell(case, what):
    """Writes down what ran beside the results."""
    client().rpush(PREFIX + 'told', '%s: %s' % (case, what))


@shared_task
def add(x, y):
    return x + y


@shared_task
def mul(x, y):
    return x * y


@shared_task
def echo(value=None):
    return value


@shared_task
def total(numbers):
    return sum(numbers)


@shared_task
def fail(text):
    raise ValueError(text)


@shared_task
def fail_with(value, text):
    """Fails though it was given a result."""
    raise ValueError('%s %s' % (text, value))


@shared_task
def tell_of(value, case):
    """A callback that gets the result."""
    tell(case, value)
    return value


@shared_task
def errback(task_id, case):
    """An error callback of the old kind: it gets the id."""
    tell(case, 'failed %s' % task_id)


@shared_task
def errback_in_place(request, exc, traceback, case):
    """An error callback of the new kind: the worker calls it itself."""
    tell(case, 'in place %s %s' % (request.id, exc))


@shared_task(bind=True)
def family(self, *args):
    info = self.request
    return [info.root_id, info.parent_id, info.group, info.group_index]


@shared_task(bind=True)
def priority(self, *args):
    return self.request.delivery_info['priority']


@shared_task(bind=True)
def stamps(self, *args):
    return [self.request.stamped_headers, self.request.stamps]


@shared_task(bind=True)
def replace(self, signature):
    raise self.replace(maybe_signature(signature, app=self.app))


@shared_task(bind=True)
def replace_with(self, value, signature):
    """Gives what came before it to what replaces it."""
    raise self.replace(maybe_signature(signature, app=self.app).clone(args=(value,)))


@shared_task(bind=True)
def grow(self, signature):
    self.add_to_chord(maybe_signature(signature, app=self.app))
    return 0


@shared_task(bind=True)
def start(self, signature):
    """Calls something, whose result is a child of this."""
    return maybe_signature(signature, app=self.app).apply_async().as_tuple()
