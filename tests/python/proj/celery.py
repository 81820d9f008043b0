"""The app. Its settings come from the test that starts it, in the variable PROJ_CONF."""
import json
import os

from celery import Celery

conf = json.loads(os.environ['PROJ_CONF'])
app = Celery('proj', include=['proj.tasks', 'proj.canvas'])
app.conf.update(conf)
