//! Python's Celery beside the project.

use std::process::Command;

use crate::{
    process::Process,
    site::{Site, variable},
};

const CLIENT: &str = "
import sys, celery
app = celery.Celery(broker=sys.argv[1], backend=sys.argv[1])
print(app.send_task('demoapp.tasks.add', (2, 3)).get(timeout=30))
print(app.send_task('demoapp.tasks.create_widget', kwargs={'name': 'cog'}).get(timeout=30))
try:
    app.send_task('demoapp.tasks.rename_widget', (9, 'wheel')).get(timeout=30)
except Exception as error:
    print(type(error).__name__, error)
";

fn python(arguments: &[&str]) -> String {
    Process::start(Command::new(variable("CELERY_TEST_PYTHON")).args(arguments)).end().success()
}

#[test]
fn a_python_client_calls_a_task_by_name_and_gets_its_result() {
    let site = Site::new(10);
    let _worker = site.worker(&[]);
    let said = python(&["-c", CLIENT, &site.url]);
    assert_eq!(said, "5\n{'id': 1, 'name': 'cog'}\nDoesNotExist widget 9 does not exist\n");
}

#[test]
fn pythons_celery_command_sees_the_worker() {
    let site = Site::new(11);
    let _worker = site.worker(&["-n", "w1@here"]);
    let celery = ["-m", "celery", "-b", &site.url];
    let ping = python(&[&celery[..], &["inspect", "ping"]].concat());
    assert_eq!(ping, "->  w1@here: OK\n        pong\n\n1 node online.\n");
    let ours = site.run(&["inspect", "ping"]).success();
    assert_eq!(ours, ping);
}
