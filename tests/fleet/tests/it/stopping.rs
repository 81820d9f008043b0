//! Signals that stop a worker.

use peers::Space;
use serde_json::json;

use crate::harness::{call, worker};

#[tokio::test]
async fn a_warm_shutdown_lets_a_task_end() {
    let space = Space::new();
    let app = space.app();
    let mut first = worker(&space, &["-c", "1"]).await;
    let result = call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    first.signal("TERM").await;
    first.says("Warm shutdown").await;
    space.open("gate").await;
    assert_eq!(result.get().await.expect("the task succeeds"), json!("gate"));
    assert!(first.ended().await.success());
}
