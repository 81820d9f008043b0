//! What every result backend must do.

use std::{pin::pin, sync::Arc};

use serde_json::{Value, json};

use crate::{
    backend::Backend,
    state::{ExtendedMeta, State, TaskMeta},
    value::Map,
};

use super::{LIMIT, WATCH, within};

/// Makes a test of each case of the result backend suite; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! backend_conformance {
    ($setup:expr) => {
        $crate::__conformance_cases! { backend, $setup,
            an_unknown_task_has_no_state
            what_is_stored_can_be_read
            every_state_survives
            every_field_of_a_result_survives
            special_values_survive
            a_state_is_overwritten
            a_success_is_final
            a_forgotten_task_has_no_state
            many_are_read_and_forgotten_in_one_step
            tasks_do_not_meet

            a_wait_is_woken_by_the_store
            a_wait_for_what_is_there_returns_at_once
            a_wait_passes_over_states_that_are_not_ready
            every_ready_state_ends_a_wait
            many_wait_for_one_task
            many_wait_for_a_task_each
            a_cancelled_wait_harms_nothing
        }
    };
}

async fn store(backend: &Arc<dyn Backend>, meta: &TaskMeta) {
    within(LIMIT, "to store a state", backend.store(meta)).await.expect("a state can be stored");
}

async fn get(backend: &Arc<dyn Backend>, id: &str) -> Option<TaskMeta> {
    within(LIMIT, "to read a state", backend.get(id))
        .await
        .expect("the state of a task can be read")
}

async fn wait(backend: &Arc<dyn Backend>, id: &str) -> TaskMeta {
    within(LIMIT, "a result", backend.wait(id)).await.expect("a result can be waited for")
}

fn success(id: &str, result: impl Into<Value>) -> TaskMeta {
    let date_done = Some("2024-02-29T12:30:00.000001+00:00".to_owned());
    TaskMeta {
        date_done,
        children: Some(Vec::new()),
        ..TaskMeta::new(id, State::Success, result.into())
    }
}

fn failure(message: &str) -> Value {
    json!({ "exc_type": "ValueError", "exc_message": [message], "exc_module": "builtins" })
}

fn object(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// Nothing is known of a task that nothing was stored of.
pub async fn an_unknown_task_has_no_state(backend: Arc<dyn Backend>) {
    assert!(backend.is_enabled());
    assert_eq!(get(&backend, "nobody's").await, None);
}

/// What was stored is there when `store` returns.
pub async fn what_is_stored_can_be_read(backend: Arc<dyn Backend>) {
    let meta = success("1f2c", 42);
    store(&backend, &meta).await;
    assert_eq!(get(&backend, "1f2c").await, Some(meta));
}

/// Celery's states and a task's own survive, each with what belongs to it.
pub async fn every_state_survives(backend: Arc<dyn Backend>) {
    let states = [
        (State::Started, json!({ "pid": 4711, "hostname": "worker@host" })),
        (State::Custom("PROGRESS".to_owned()), json!({ "done": 3, "total": 10 })),
        (State::Retry, failure("try again")),
        (State::Failure, failure("boom")),
        (
            State::Revoked,
            json!({ "exc_type": "TaskRevokedError", "exc_message": ["terminated"], "exc_module": "celery.exceptions" }),
        ),
        (State::Rejected, Value::Null),
        (State::Ignored, Value::Null),
        (State::Success, json!("done")),
    ];
    for (state, result) in states {
        let traceback =
            state.is_exception().then(|| "Traceback (most recent call last):\n  …\n".to_owned());
        let meta = TaskMeta { traceback, ..TaskMeta::new(format!("task-{state}"), state, result) };
        store(&backend, &meta).await;
        assert_eq!(get(&backend, &meta.task_id).await, Some(meta));
    }
}

/// Every field survives: what groups and `result_extended` add, stamps, and what we do not know.
pub async fn every_field_of_a_result_survives(backend: Arc<dyn Backend>) {
    let meta = TaskMeta {
        traceback: Some("a traceback\nof two lines".to_owned()),
        children: Some(vec![
            json!([["child-1", null], null]),
            json!([["child-2", ["parent", null]], []]),
        ]),
        group_id: Some("the group".to_owned()),
        parent_id: Some("the parent".to_owned()),
        extended: Some(ExtendedMeta {
            name: Some("proj.tasks.add".to_owned()),
            args: json!([2, { "nested": [null] }]),
            kwargs: json!({ "debug": true }),
            worker: Some("worker@host".to_owned()),
            retries: Some(3),
            queue: Some("celery".to_owned()),
        }),
        extra: object(
            json!({ "stamped_headers": ["tenant"], "tenant": "a", "x-of-a-later-version": { "b": [1.5] } }),
        ),
        ..success("full", json!([1, "two", { "three": 3.5 }]))
    };
    store(&backend, &meta).await;
    assert_eq!(get(&backend, "full").await, Some(meta.clone()));
    assert_eq!(wait(&backend, "full").await, meta);
}

/// What JSON has no word for, and what it has but programs get wrong.
pub async fn special_values_survive(backend: Arc<dyn Backend>) {
    let values = [
        Value::Null,
        json!(""),
        json!(
            "ünïcode ✓ 🥬 \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} \u{0} \u{2028} \"quoted\" \\"
        ),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.0),
        json!(-0.0),
        json!(0.1),
        json!(1e300),
        json!({ "z": 1, "a": { "__type__": "not one of ours" }, "": [] }),
        json!({ "__type__": "datetime", "__value__": "2024-02-29T12:30:00.000001+00:00" }),
        json!({ "__type__": "decimal", "__value__": "3.140" }),
        json!({ "__type__": "uuid", "__value__": { "hex": "12345678123456781234567812345678" } }),
        json!({ "__type__": "bytes", "__value__": "text" }),
        json!({ "__type__": "base64", "__value__": "/wD+" }),
        json!({ "__type__": "float", "__value__": "nan" }),
        json!({ "__type__": "float", "__value__": "-inf" }),
        json!({ "__type__": "int", "__value__": "123456789012345678901234567890" }),
    ];
    for (number, value) in values.into_iter().enumerate() {
        let nested = json!([value, { "within": value }]);
        let meta = success(&format!("task-{number}"), nested);
        store(&backend, &meta).await;
        let stored = get(&backend, &meta.task_id).await.expect("it was stored just now");
        assert_eq!(stored.result, meta.result);
    }
}

/// A state that is not a success gives way to any other, a failure too: a late retry is the truth.
pub async fn a_state_is_overwritten(backend: Arc<dyn Backend>) {
    let states = [
        State::Started,
        State::Custom("PROGRESS".to_owned()),
        State::Retry,
        State::Failure,
        State::Started,
    ];
    for state in states {
        let meta = TaskMeta::new("moving", state, failure("so far"));
        store(&backend, &meta).await;
        assert_eq!(get(&backend, "moving").await, Some(meta));
    }
    let done = success("moving", "done");
    store(&backend, &done).await;
    assert_eq!(get(&backend, "moving").await, Some(done));
}

/// Nothing that is stored after a success is heeded, another success neither.
pub async fn a_success_is_final(backend: Arc<dyn Backend>) {
    let done = success("done", 1);
    store(&backend, &done).await;
    for state in [
        State::Failure,
        State::Started,
        State::Retry,
        State::Revoked,
        State::Custom("PROGRESS".to_owned()),
    ] {
        store(&backend, &TaskMeta::new("done", state, failure("too late"))).await;
        assert_eq!(get(&backend, "done").await.as_ref(), Some(&done));
    }
    store(&backend, &success("done", 2)).await;
    assert_eq!(get(&backend, "done").await, Some(done));
}

/// Of a forgotten task nothing is known, and it may be stored anew.
pub async fn a_forgotten_task_has_no_state(backend: Arc<dyn Backend>) {
    let forget = || async {
        within(LIMIT, "to forget", backend.forget("done")).await.expect("a task can be forgotten");
    };
    forget().await;
    store(&backend, &success("done", 1)).await;
    forget().await;
    assert_eq!(get(&backend, "done").await, None);
    let again = TaskMeta::new("done", State::Started, Value::Null);
    store(&backend, &again).await;
    assert_eq!(get(&backend, "done").await, Some(again));
}

/// Of many tasks each is told in its place: those that are there, those that are not, and those that are asked for twice.
pub async fn many_are_read_and_forgotten_in_one_step(backend: Arc<dyn Backend>) {
    let ids: Vec<String> = (0..1200).map(|number| format!("task-{number}")).collect();
    let stored = |number: usize| number.is_multiple_of(3) && number < 600;
    for number in (0..ids.len()).filter(|number| stored(*number)) {
        store(&backend, &success(&ids[number], number)).await;
    }
    let mut asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    asked.extend(["task-3", "task-4"]);
    let read = async || {
        let read = within(LIMIT, "to read many states", backend.get_many(&asked)).await;
        read.expect("the states of many tasks can be read")
    };
    let metas = read().await;
    assert_eq!(metas.len(), asked.len());
    for (number, meta) in (0..ids.len()).chain([3, 4]).zip(metas) {
        assert_eq!(meta, stored(number).then(|| success(&ids[number], number)));
    }
    assert_eq!(backend.get_many(&[]).await.ok(), Some(Vec::new()));

    let forget = |forgotten| within(LIMIT, "to forget many", backend.forget_many(forgotten));
    forget(&asked[1..]).await.expect("many tasks can be forgotten");
    assert_eq!(read().await.into_iter().flatten().collect::<Vec<_>>(), [success("task-0", 0)]);
    forget(&[]).await.expect("none can be forgotten");
}

/// Each task has its own entry, however its id looks.
pub async fn tasks_do_not_meet(backend: Arc<dyn Backend>) {
    let ids = ["a", "A", "a b", "a:b", "a*", "?", "ünï", "celery-task-meta-a", "{a}"];
    for (number, id) in ids.into_iter().enumerate() {
        store(&backend, &success(id, number)).await;
    }
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(wait(&backend, id).await, success(id, number));
    }
    within(LIMIT, "to forget", backend.forget("a*")).await.expect("a task can be forgotten");
    assert_eq!(get(&backend, "a b").await, Some(success("a b", 2)));
}

/// Who waits is woken, whether the wait began this moment or a while ago.
pub async fn a_wait_is_woken_by_the_store(backend: Arc<dyn Backend>) {
    let at_once = success("at once", 1);
    let (result, ()) = tokio::join!(wait(&backend, "at once"), store(&backend, &at_once));
    assert_eq!(result, at_once);

    let later = success("later", 2);
    let mut waiting = pin!(wait(&backend, "later"));
    assert!(tokio::time::timeout(WATCH, &mut waiting).await.is_err(), "there is no result yet");
    store(&backend, &later).await;
    assert_eq!(waiting.await, later);
}

/// A result that is there is not waited for.
pub async fn a_wait_for_what_is_there_returns_at_once(backend: Arc<dyn Backend>) {
    let done = success("done", 1);
    store(&backend, &done).await;
    for _ in 0..3 {
        assert_eq!(wait(&backend, "done").await, done);
    }
}

/// A wait ends with a ready state, and with nothing before.
pub async fn a_wait_passes_over_states_that_are_not_ready(backend: Arc<dyn Backend>) {
    let states = [
        State::Started,
        State::Retry,
        State::Custom("PROGRESS".to_owned()),
        State::Rejected,
        State::Ignored,
    ];
    store(&backend, &TaskMeta::new("moving", State::Received, Value::Null)).await;
    let mut waiting = pin!(wait(&backend, "moving"));
    assert!(tokio::time::timeout(WATCH, &mut waiting).await.is_err(), "there is no result yet");
    for state in states {
        store(&backend, &TaskMeta::new("moving", state, failure("so far"))).await;
    }
    assert!(tokio::time::timeout(WATCH, &mut waiting).await.is_err(), "there is no result yet");
    let done = success("moving", "done");
    store(&backend, &done).await;
    assert_eq!(waiting.await, done);
}

/// A failure and a revocation end a wait as well as a success does.
pub async fn every_ready_state_ends_a_wait(backend: Arc<dyn Backend>) {
    for state in [State::Success, State::Failure, State::Revoked] {
        let meta = TaskMeta::new(format!("task-{state}"), state, failure("done"));
        let (result, ()) = tokio::join!(wait(&backend, &meta.task_id), store(&backend, &meta));
        assert_eq!(result, meta);
        assert_eq!(wait(&backend, &meta.task_id).await, meta);
    }
}

/// One store wakes everyone who waits for the task.
pub async fn many_wait_for_one_task(backend: Arc<dyn Backend>) {
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { wait(&backend, "popular").await })
        })
        .collect();
    tokio::task::yield_now().await;
    let done = success("popular", 1);
    store(&backend, &done).await;
    for waiting in waiting {
        assert_eq!(
            within(LIMIT, "each waiter", waiting).await.expect("a wait does not fail"),
            done
        );
    }
}

/// Two hundred waits at once, each for a task of its own, in as few connections as the driver has.
pub async fn many_wait_for_a_task_each(backend: Arc<dyn Backend>) {
    let waiting: Vec<_> = (0..200)
        .map(|number| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { wait(&backend, &format!("task-{number}")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    for number in (0..200).rev() {
        store(&backend, &success(&format!("task-{number}"), number)).await;
    }
    for (number, waiting) in waiting.into_iter().enumerate() {
        let result = within(LIMIT, "each waiter", waiting).await.expect("a wait does not fail");
        assert_eq!(result, success(&format!("task-{number}"), number));
    }
}

/// A wait that was given up neither hinders the others nor the next.
pub async fn a_cancelled_wait_harms_nothing(backend: Arc<dyn Backend>) {
    let mut patient = pin!(wait(&backend, "slow"));
    assert!(tokio::time::timeout(WATCH, &mut patient).await.is_err(), "there is no result yet");
    for _ in 0..20 {
        let given_up = backend.wait("slow");
        tokio::select! {
            biased;
            result = given_up => panic!("there is no result yet, but this came: {result:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    let done = success("slow", 1);
    store(&backend, &done).await;
    assert_eq!(patient.await, done);
    assert_eq!(wait(&backend, "slow").await, done);
}
