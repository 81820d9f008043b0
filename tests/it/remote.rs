//! Remote control of a worker: queues that come and go, and commands of the program's own.

use celery::{
    core::{broker::Queue, conformance::faulty::Call, control::Refusal, value::Map},
    prelude::*,
};

use crate::{
    harness::{Circle, NODE, faulty},
    tasks::*,
};

/// How many messages are held at most, and what was said.
#[inspect_command]
async fn held_at_most(panel: &Panel, #[default = "so it is".to_owned()] note: String) -> Value {
    json!({ "most": panel.prefetch(), "note": note, "node": panel.hostname() })
}

/// Holds fewer messages at most.
#[control_command(name = "hold_fewer", help = "Holds fewer.", signature = "[BY=1]")]
fn fewer(panel: &Panel, #[default = 1] by: u32) -> Result<Value, CommandError> {
    let most = panel.prefetch().checked_sub(by).filter(|most| *most > 0);
    let most = most.ok_or_else(|| CommandError::new("ValueError", "one is held at least"))?;
    panel.set_prefetch(most);
    Ok(json!({ "ok": most }))
}

/// Counts what it is given.
#[inspect_command]
async fn count_words(
    _panel: &Panel,
    words: Vec<String>,
    #[state] probe: crate::harness::Probe,
) -> usize {
    probe.note("counted");
    words.len()
}

#[inspect_command(hidden)]
async fn falls_over(_panel: &Panel, how: Option<String>) -> Result<(), std::num::ParseIntError> {
    match how {
        Some(text) => text.parse::<u8>().map(|_| ()),
        None => panic!("over it goes"),
    }
}

/// What the worker replies to a command, once it listens.
async fn ask(circle: &Circle, command: &str, arguments: Value) -> Value {
    let Value::Object(arguments) = arguments else { panic!("arguments have names") };
    let asked = circle.app.control().broadcast(command, arguments).destination([NODE]);
    for _ in 0..5 {
        if let Some((_, reply)) = asked.clone().replies().await.unwrap().pop() {
            return reply;
        }
    }
    panic!("nobody replies to {command}")
}

#[tokio::test(start_paused = true)]
async fn queues_are_added_and_cancelled_while_tasks_run() {
    let circle = Circle::new();
    let control = circle.app.control();
    let worker = circle.worker();
    circle.call(Hold::s("busy".to_owned())).await;
    circle.probe.noted(1).await;
    let waits = circle.call(Note::s(json!("waits")).queue("extra")).await;

    let told = control.add_consumer(&Queue::named("extra")).limit(1).answers().await.unwrap();
    assert_eq!(told, [(NODE.to_owned(), Ok("add consumer extra".to_owned()))]);
    assert_eq!(circle.stored(waits.id()).await["status"], "SUCCESS");
    let queues = control.inspect().active_queues().limit(1).answers().await.unwrap();
    let queues = queues[0].1.clone().unwrap();
    let names: Vec<_> = queues.iter().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["celery", "extra"]);

    control.cancel_consumer("celery").limit(1).replies().await.unwrap();
    circle.call(Note::s(json!("left alone"))).await;
    circle.done(Note::s(json!("taken")).queue("extra")).await;
    control.cancel_consumer("extra").limit(1).replies().await.unwrap();
    circle.call(Note::s(json!("left alone, too")).queue("extra")).await;
    control.ping().limit(1).replies().await.unwrap();
    circle.probe.open(1);
    circle.probe.noted(4).await;
    worker.stop().await;
    assert_eq!((circle.waiting("celery").await, circle.waiting("extra").await), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_added_is_consumed_over_a_lost_connection() {
    let (circle, servers) = faulty(json!({}));
    let worker = circle.worker();
    ask(&circle, "add_consumer", json!({ "queue": "extra" })).await;
    ask(&circle, "cancel_consumer", json!({ "queue": "celery" })).await;
    for number in 0..3 {
        servers.broker.lose_connection_on(Call::Next, 1);
        circle.call(Note::s(json!("left alone"))).await;
        circle.call(Note::s(json!(number)).queue("extra")).await;
        circle.probe.noted(number + 1).await;
    }
    worker.stop().await;
    assert_eq!((circle.waiting("celery").await, circle.waiting("extra").await), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_consumed_is_refused_to_who_asks() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let arguments = json!({ "queue": "all", "exchange_type": "fanout" });
    let reply = ask(&circle, "add_consumer", arguments).await;
    assert_eq!(
        reply,
        json!({ "error": "this worker consumes from exchanges of the types direct and topic, and not of fanout" })
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_broker_is_shown_as_scheduled() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let later = circle.call(Add::s(1, 2).countdown(7200)).await;
    let sooner = circle.call(Add::s(3, 4).countdown(60)).await;
    circle.done(Add::s(5, 6)).await;
    let inspect = circle.app.control().inspect();
    let scheduled = inspect.scheduled().limit(1).answers().await.unwrap().remove(0).1.unwrap();
    let ids: Vec<_> = scheduled.iter().map(|waits| waits.request.id.as_str()).collect();
    assert_eq!(ids, [sooner.id(), later.id()]);
    assert_eq!(scheduled[0].request.args, json!([3, 4]));
    let known = inspect.query_task([later.id(), "no-such-id"]).limit(1).answers().await.unwrap();
    let known = known[0].1.clone().unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[later.id()].0, "scheduled");
}

#[tokio::test(start_paused = true)]
async fn commands_of_the_program_are_called_as_celerys_own_are() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let at_most = |note: &str| json!({ "most": 8, "note": note, "node": NODE });
    assert_eq!(ask(&circle, "held_at_most", json!({})).await, at_most("so it is"));
    assert_eq!(ask(&circle, "held_at_most", json!({ "note": "a" })).await, at_most("a"));
    assert_eq!(ask(&circle, "hold_fewer", json!({})).await, json!({ "ok": 7 }));
    assert_eq!(ask(&circle, "hold_fewer", json!({ "by": 5 })).await, json!({ "ok": 2 }));
    assert_eq!(ask(&circle, "count_words", json!({ "words": ["a", "b"] })).await, 2);
    assert_eq!(circle.probe.notes(), ["counted"]);

    let refused = |error: &str| json!({ "error": error });
    assert_eq!(
        ask(&circle, "hold_fewer", json!({ "by": 2 })).await,
        refused("ValueError('one is held at least')")
    );
    assert_eq!(
        ask(&circle, "hold_fewer", json!({ "by": 1, "so": 2 })).await,
        refused(r#"TypeError("hold_fewer() got an unexpected keyword argument 'so'")"#)
    );
    assert_eq!(
        ask(&circle, "count_words", json!({})).await,
        refused(r#"TypeError("count_words() missing 1 required positional argument: 'words'")"#)
    );
    assert_eq!(
        ask(&circle, "falls_over", json!({ "how": "x" })).await,
        refused("ParseIntError('invalid digit found in string')")
    );
    assert_eq!(ask(&circle, "falls_over", json!({ "how": "7" })).await, Value::Null);
    assert_eq!(ask(&circle, "falls_over", json!({})).await, refused("Panic('over it goes')"));
    assert_eq!(ask(&circle, "ping", json!({})).await, json!({ "ok": "pong" }));

    let answers =
        circle.app.control().broadcast("hold_fewer", Map::from_iter([("by".to_owned(), json!(9))]));
    let answers = answers.limit(1).answers().await.unwrap();
    let refusal: &Refusal = answers[0].1.as_ref().unwrap_err();
    assert_eq!(refusal.to_string(), "ValueError('one is held at least')");
}

#[test]
fn commands_of_the_program_are_described_from_their_functions() {
    let shown = |name: &str| {
        let command = celery::core::worker::commands().find(|command| command.is_called(name));
        let command = command.expect("it is registered");
        (command.help, command.signature, command.visible)
    };
    let help = "How many messages are held at most, and what was said.";
    assert_eq!(shown("held_at_most"), (help, Some("[note]"), true));
    assert_eq!(shown("hold_fewer"), ("Holds fewer.", Some("[BY=1]"), true));
    assert_eq!(shown("count_words"), ("Counts what it is given.", Some("[words ...]"), true));
    assert_eq!(shown("falls_over"), ("", Some("[how]"), false));
}
