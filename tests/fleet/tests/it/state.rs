//! What tasks take of the state of their app.

use peers::{Process, Space};

use crate::harness::command;

#[tokio::test]
async fn a_worker_whose_tasks_lack_a_state_does_not_start() {
    let space = Space::new();
    let mut worker =
        Process::start(command(&space, &["worker", "-l", "DEBUG"]).env("FLEET_STATE", "none"));
    assert!(!worker.ended().await.success());
    let said = worker.log();
    for expected in [
        "add `.state(…)`",
        "- `fleet.hold` takes `peers::space::Space`",
        "- `fleet.hold_late` takes",
    ] {
        assert!(said.contains(expected), "{expected}:\n{said}");
    }
    assert!(!said.contains(" ready."), "{said}");
}
