//! Retries: by themselves, asked for, exhausted.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{harness::Circle, tasks::*};

#[tokio::test(start_paused = true)]
async fn the_backoff_doubles_and_the_task_stays_the_same() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = Instant::now();
    let result = circle.call(Flaky::s(3).header("x-trace", "abc").shadow("f").priority(3)).await;
    assert_eq!(result.get().await.unwrap(), 3);
    // 2, 4 and 8 seconds.
    assert_eq!(start.elapsed().as_secs(), 14);
    let runs = circle.probe.notes();
    assert_eq!(runs.len(), 4);
    for (run, retries) in runs.iter().zip(0..) {
        assert_eq!(run["id"], result.id());
        assert_eq!(run["root_id"], result.id());
        assert_eq!(run["retries"], retries);
        assert_eq!(run["parent_id"], if retries == 0 { Value::Null } else { result.id().into() });
        for key in
            ["args", "headers", "shadow", "priority", "reply_to", "routing_key", "ignore_result"]
        {
            assert_eq!(run[key], runs[0][key], "{key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backoff_of_days_takes_a_test_no_time() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let (start, real) = (Instant::now(), std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(circle.done(Asks::s("tomorrow".to_owned())).await["status"], "FAILURE");
    assert_eq!(start.elapsed().as_secs(), 2 * 86_400);
    assert_eq!(real, std::time::SystemTime::UNIX_EPOCH);
}

#[tokio::test(start_paused = true)]
async fn jitter_stays_within_the_backoff() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = Instant::now();
    circle.done(FlakyWithJitter::s()).await;
    assert!(start.elapsed().as_secs() <= 86_400);
    assert_eq!(circle.probe.notes(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_the_tasks_own_delay_and_so_often_as_the_call_says() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = Instant::now();
    circle.done(Asks::s("default".to_owned())).await;
    assert_eq!(start.elapsed().as_secs(), 2 * 180);
    assert_eq!(circle.probe.notes().len(), 3);
    circle.done(Asks::s("often".to_owned())).await;
    assert_eq!(circle.probe.notes().len(), 3 + 5);
    assert_eq!(circle.done(Asks::s("other args".to_owned())).await["result"], "done");
    let last = circle.probe.notes().pop().unwrap();
    assert_eq!((&last["args"], &last["argsrepr"]), (&json!(["done"]), &json!("('done',)")));
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_retry_fails_with_its_cause_or_says_that_it_is_exhausted() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let document = circle.done(Asks::s("cause".to_owned())).await;
    assert_eq!(document["result"]["exc_type"], "OutOfCheese");
    assert_eq!(document["result"]["exc_message"], json!(["no time"]));
    let document = circle.done(Asks::s("default".to_owned())).await;
    assert_eq!(document["result"]["exc_type"], "MaxRetriesExceededError");
    assert_eq!(document["result"]["exc_module"], "celery.exceptions");
    let id = document["task_id"].as_str().unwrap();
    let message = format!("Can't retry it.tasks.asks[{id}] args:('default',) kwargs:{{}}");
    assert_eq!(document["result"]["exc_message"], json!([message]));
    let document = circle.done(Flaky::s(100)).await;
    assert_eq!(document["result"]["exc_message"], json!(["no luck"]));
    assert_eq!(circle.probe.notes().last().unwrap()["retries"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_the_end_of_time_does_no_harm() {
    let circle = Circle::new();
    let worker = circle.worker();
    let result = circle.call(Asks::s("ages".to_owned())).await;
    circle.probe.noted(1).await;
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    worker.stop().await;
    assert_eq!(result.state().await.unwrap().as_str(), "RETRY");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_expires_before_it_is_due_is_revoked() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let document = circle.done(Asks::s("tomorrow".to_owned()).expires(3600)).await;
    assert_eq!(document["status"], "REVOKED");
    assert_eq!(circle.probe.notes().len(), 1);
}
