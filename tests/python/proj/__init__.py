"""A Celery project, as users write them: the peer of the interop tests."""
