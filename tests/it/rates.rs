//! Rate limits: how often a task begins, and what becomes of the others meanwhile.

use std::{collections::BTreeSet, time::Duration};

use celery::{
    Signature, WorkerOptions,
    core::{clock, signature::Nothing},
    prelude::*,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    harness::{Circle, Log, Probe},
    tasks::Add,
};

/// Notes when it is run.
#[shared_task(rate_limit = "10/m")]
async fn limited(number: u64, #[state] probe: Probe) -> u64 {
    probe.note(json!([number, clock::now().as_millisecond()]));
    number
}

#[shared_task(rate_limit = "10/m", acks_late)]
async fn limited_late(number: u64, #[state] probe: Probe) -> u64 {
    probe.note(json!([number, clock::now().as_millisecond()]));
    number
}

#[shared_task(rate_limit = "20/s")]
async fn brisk(number: u64, #[state] probe: Probe) -> u64 {
    probe.note(json!([number, clock::now().as_millisecond()]));
    number
}

#[shared_task]
async fn free(number: u64, #[state] probe: Probe) -> u64 {
    probe.note(json!([number, clock::now().as_millisecond()]));
    number
}

/// Which ones ran, and when, in milliseconds since the first.
fn runs(notes: &[Value]) -> Vec<(u64, i64)> {
    let at = |note: &Value| note[1].as_i64().unwrap();
    let first = notes.first().map_or(0, at);
    notes.iter().map(|note| (note[0].as_u64().unwrap(), at(note) - first)).collect()
}

async fn call_all<O>(circle: &Circle, count: u64, call: impl Fn(u64) -> Signature<Nothing, O>) {
    for number in 0..count {
        circle.call(call(number)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_begins_as_often_as_its_limit_says_and_in_order() {
    let circle = Circle::new();
    call_all(&circle, 30, Limited::s).await;
    let worker = circle.worker();
    let notes = circle.probe.noted(30).await;
    let expected: Vec<_> = (0..30).map(|number| (number, 6_000 * number as i64)).collect();
    assert_eq!(runs(&notes), expected);
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_limit_runs_at_once_behind_a_thousand_that_have_one() {
    let circle = Circle::new();
    call_all(&circle, 1_000, Limited::s).await;
    let start = Instant::now();
    let _worker = circle.worker_with(WorkerOptions {
        concurrency: Some(1),
        prefetch_multiplier: Some(1),
        ..WorkerOptions::default()
    });
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    assert_eq!(start.elapsed().as_millis(), 0);
    assert_eq!(circle.probe.notes().len(), 1);
    // It is so for ever after, and no sooner does more of the others begin.
    for minute in 1..=3 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
        assert_eq!(start.elapsed().as_millis(), 0);
        let runs = circle.probe.notes().len();
        assert!((10 * minute..=10 * minute + 1).contains(&runs), "{runs} in {minute} min");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_many_is_received_once_each_and_none_is_lost_or_doubled() {
    let circle = Circle::new();
    let log = Log::start();
    call_all(&circle, 600, Brisk::s).await;
    let worker = circle.worker();
    let runs = runs(&circle.probe.noted(600).await);
    let numbers: BTreeSet<_> = runs.iter().map(|(number, _)| *number).collect();
    assert_eq!((runs.len(), numbers.len()), (600, 600));
    let took = runs.last().unwrap().1;
    assert!((29_900..=35_000).contains(&took), "{took} ms");
    // A timer that was late is made up for.
    assert!(runs.windows(2).all(|pair| pair[1].1 - pair[0].1 >= 45));
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
    assert_eq!(log.take().matches("] received").count(), 600);
}

#[tokio::test(start_paused = true)]
async fn two_workers_have_a_limit_each_and_share_the_work() {
    let circle = Circle::new();
    call_all(&circle, 100, Limited::s).await;
    let workers = [circle.worker(), circle.worker()];
    let runs = runs(&circle.probe.noted(100).await);
    let numbers: BTreeSet<_> = runs.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), 100);
    let took = Duration::from_millis(runs.last().unwrap().1.unsigned_abs()).as_secs();
    // Twenty a minute together at best, and sooner than one worker alone. Each gives times to messages of which the other one
    // takes some, and then waits for them for a moment.
    assert!((294..594).contains(&took), "{took} s");
    for start in 0..runs.len() {
        let minute = runs[start..].iter().take_while(|(_, at)| *at < runs[start].1 + 60_000);
        assert!(minute.count() <= 21);
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_limit_is_handed_back_when_the_worker_stops() {
    let circle = Circle::new();
    call_all(&circle, 5, LimitedLate::s).await;
    let worker = circle.worker();
    circle.probe.noted(1).await;
    worker.stop().await;
    // One was held, and three wait until they are due.
    assert_eq!(circle.waiting("celery").await, 1);
    let worker = circle.worker();
    let runs = runs(&circle.probe.noted(5).await);
    assert_eq!(runs.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_expires_before_its_turn_is_void_when_it_expires() {
    let circle = Circle::new();
    let _worker = circle.worker();
    call_all(&circle, 20, Limited::s).await;
    let start = Instant::now();
    let document = circle.done(Limited::s(20).expires(15)).await;
    assert_eq!(document["status"], "REVOKED");
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn limits_come_from_the_settings_too_and_can_be_switched_off() {
    let interval = async |settings: Value| {
        let circle = Circle::with(settings);
        let _worker = circle.worker();
        call_all(&circle, 2, Free::s).await;
        runs(&circle.probe.noted(2).await)[1].1
    };
    assert_eq!(interval(json!({})).await, 0);
    assert_eq!(interval(json!({ "task_default_rate_limit": "30/m" })).await, 2_000);
    assert_eq!(interval(json!({ "task_default_rate_limit": 4 })).await, 250);
    let off = json!({ "task_default_rate_limit": "1/h", "worker_disable_rate_limits": true });
    assert_eq!(interval(off).await, 0);
    let named = json!({ "task_annotations": { "*.free": { "rate_limit": "1/m" } } });
    assert_eq!(interval(named).await, 60_000);
    let circle = Circle::with(json!({ "task_annotations": { "*": { "rate_limit": null } } }));
    let _worker = circle.worker();
    call_all(&circle, 2, Limited::s).await;
    assert_eq!(runs(&circle.probe.noted(2).await)[1].1, 0);
}

/// Asks the worker to change the limit of a task; what it answers.
async fn change(circle: &Circle, task: &str, limit: Value) -> Value {
    let Value::Object(arguments) = json!({ "task_name": task, "rate_limit": limit }) else {
        panic!("a map")
    };
    let asked = circle.app.control().broadcast("rate_limit", arguments).limit(1);
    asked.replies().await.unwrap().remove(0).1
}

async fn registered(circle: &Circle) -> String {
    let replies = circle
        .app
        .control()
        .broadcast("registered", serde_json::Map::new())
        .limit(1)
        .replies()
        .await
        .unwrap();
    let names = replies[0].1.as_array().unwrap().clone();
    let is_limited = |name: &&Value| name.as_str().unwrap().starts_with(Limited::NAME);
    names.iter().find(is_limited).unwrap().as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_changed_while_the_worker_runs() {
    let circle = Circle::new();
    let _worker = circle.worker();
    call_all(&circle, 200, Limited::s).await;
    circle.probe.noted(1).await;
    assert_eq!(registered(&circle).await, format!("{} [rate_limit=10/m]", Limited::NAME));
    // Those that wait in the broker are asked about again within half a minute.
    let raised = json!({ "ok": "new rate limit set successfully" });
    assert_eq!(change(&circle, Limited::NAME, json!("2/s")).await, raised);
    assert_eq!(registered(&circle).await, format!("{} [rate_limit=2/s]", Limited::NAME));
    let start = Instant::now();
    let noted = runs(&circle.probe.noted(200).await);
    let took = start.elapsed().as_secs();
    assert!((99..=135).contains(&took), "{took} s");
    assert!(noted.windows(2).skip(1).all(|pair| pair[1].1 - pair[0].1 >= 500));
    // Lowered, and what is held goes by the new one.
    change(&circle, Limited::NAME, json!("1/m")).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    call_all(&circle, 3, Limited::s).await;
    let last = runs(&circle.probe.noted(203).await)[200..].to_vec();
    assert_eq!([last[1].1 - last[0].1, last[2].1 - last[1].1], [60_000, 60_000]);
    // Taken away.
    call_all(&circle, 20, Limited::s).await;
    let gone = json!({ "ok": "rate limit disabled successfully" });
    assert_eq!(change(&circle, Limited::NAME, json!(0)).await, gone);
    assert_eq!(registered(&circle).await, Limited::NAME);
    let start = Instant::now();
    circle.probe.noted(223).await;
    assert!(start.elapsed().as_secs() <= 60, "{:?}", start.elapsed());
    // One that had none.
    change(&circle, Free::NAME, json!("1/s")).await;
    call_all(&circle, 2, Free::s).await;
    let last = runs(&circle.probe.noted(225).await)[223..].to_vec();
    assert_eq!(last[1].1 - last[0].1, 1_000);
    // What cannot be done.
    let unknown = json!({ "error": "unknown task" });
    assert_eq!(change(&circle, "no.task", json!("1/s")).await, unknown);
    let refused = change(&circle, Limited::NAME, json!("x/y")).await.to_string();
    assert!(refused.contains("Invalid rate limit string: `x/y` is no rate limit"), "{refused}");
}

#[tokio::test]
async fn a_limit_holds_on_redis() {
    let circle = Circle::redis();
    call_all(&circle, 60, Brisk::s).await;
    let worker = circle.worker_with(WorkerOptions {
        concurrency: Some(1),
        prefetch_multiplier: Some(1),
        ..WorkerOptions::default()
    });
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    assert!(circle.probe.notes().len() < 30, "the one behind them did not wait for them");
    let runs = runs(&circle.probe.noted(60).await);
    let numbers: BTreeSet<_> = runs.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), 60);
    // The first begins at once, and the clock of a machine is no metronome.
    let took = runs.last().unwrap().1;
    assert!((2_900..=6_500).contains(&took), "{took} ms");
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
}
