//! Exchanges, priorities, and keys without a prefix.

use celery::Error;
use celery_core::{broker::BrokerError, worker::WorkerOptions};
use peers::{LIMIT, PythonWorker, Space, scenario, service};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    rust::{RustWorker, options},
    tasks::{Add, PyAdd},
};
use crate::harness::app;

/// A queue that takes the European orders of a topic exchange, and a second exchange that leads nowhere.
fn topic(queue: &str) -> Value {
    let bound =
        json!({ "exchange": "orders", "exchange_type": "topic", "routing_key": "orders.eu.#" });
    let other = json!({ "exchange": "others", "exchange_type": "topic", "routing_key": "nothing" });
    json!({ queue: bound, "others": other })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_exchange_leads_from_python_to_rust_and_back() {
    let space = Space::new().with("task_queues", topic("eu")).with("task_default_queue", "eu");
    let app = app(&space);
    // Whoever consumes first declares the binding, and the other publishes by it.
    let ours = RustWorker::start(&app, &["eu"], 1);
    space.declares("orders").await;
    scenario(&space, "publish_topic").await;
    let mut seen = space.take("noted", 2).await;
    seen.sort();
    assert_eq!(seen, ["orders.eu.new", "orders.eu.old.gone"]);
    ours.stop().await;

    let theirs = PythonWorker::start(&space, &["-P", "solo", "-Q", "eu"]).await;
    let publish = async |key: &'static str| {
        let call = app.send_task("proj.tasks.note").args((key,));
        call.exchange("orders").routing_key(key).send().await
    };
    for key in ["orders.eu.new", "orders.eu.old.gone"] {
        publish(key).await.unwrap();
    }
    // Python drops silently what leads nowhere; we say so.
    for key in ["orders.us.new", "invoices.eu.new"] {
        let error = publish(key).await.unwrap_err();
        assert!(matches!(error, Error::Broker(BrokerError::Unroutable { .. })), "{error}");
    }
    assert_eq!(space.take("noted", 2).await, ["orders.eu.new", "orders.eu.old.gone"]);
    theirs.stop().await;
    let (waiting, more): (u64, u64) =
        (space.redis("LLEN", &["{}eu"]).await, space.redis("LLEN", &["{}noted"]).await);
    assert_eq!((waiting, more), (0, 0), "the others were for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn priorities_are_served_in_order_across_both_sides() {
    let space = Space::new().with("task_default_queue", "urgent");
    let app = app(&space);
    scenario(&space, "publish_priorities").await;
    let steps: u64 = space.redis("LLEN", &["{}urgent\u{6}\u{16}6"]).await;
    assert_eq!(steps, 2, "7 and 6 wait on one step");
    let one = WorkerOptions { prefetch_multiplier: Some(1), ..options(&["urgent"], 1) };
    let ours = RustWorker::with(&app, one);
    let steps = |noted: Vec<String>| -> Vec<u8> {
        noted.iter().map(|priority| priority.parse::<u8>().unwrap() / 3 * 3).collect()
    };
    assert_eq!(steps(space.take("noted", 7).await), [0, 0, 3, 3, 6, 6, 9]);
    ours.stop().await;

    for priority in [9, 7, 6, 5, 3, 1, 0] {
        let call =
            app.send_task("proj.tasks.note").args((priority.to_string(),)).priority(priority);
        call.send().await.unwrap();
    }
    let arguments = ["-P", "solo", "-Q", "urgent", "--prefetch-multiplier", "1"];
    let theirs = PythonWorker::start(&space, &arguments).await;
    assert_eq!(steps(space.take("noted", 7).await), [0, 0, 3, 3, 6, 6, 9]);
    theirs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_works_without_a_prefix() {
    let url = service("CELERY_TEST_REDIS_URL");
    let database = url.strip_suffix("/0").expect("the url ends with a database");
    let (rs, py) = (format!("rs-{}", Uuid::new_v4()), format!("py-{}", Uuid::new_v4()));
    let space = Space::at(&format!("{database}/6"), "").with("task_default_queue", rs.as_str());
    let app = app(&space);
    let ours = RustWorker::start(&app, &[&rs], 1);
    let theirs = PythonWorker::start(&space, &["-P", "solo", "-Q", &py]).await;
    let id = Uuid::new_v4().to_string();
    let callback = Add::partial(4).task_id(&id).queue(&rs);
    PyAdd::s(1, 2).with_app(&app).queue(&py).link(callback).apply_async().await.unwrap();
    let sum = celery::AsyncResult::<i64>::new(&app, &id).get_within(LIMIT).await.unwrap();
    assert_eq!(sum, 7);
    let stored: u64 = space.redis("EXISTS", &[&format!("celery-task-meta-{id}")]).await;
    assert_eq!(stored, 1);
    ours.stop().await;
    theirs.stop().await;
}
