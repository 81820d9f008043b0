//! Messages, as a client publishes them.

use std::collections::{BTreeMap, BTreeSet};

use celery::Signature;
use celery_core::{
    clock,
    codec::{AcceptContent, json as json_of_celery},
    envelope,
    protocol::TaskMessage,
    signature::{Spec, Untyped},
};
use jiff::Timestamp;
use peers::Space;
use serde_json::{Value, json};

use super::{
    capture, neutral,
    tasks::{Add, Echo, Mul, OnErrNew, Xsum},
};
use crate::harness::app;

/// Keys with their type, and what is in those that are sets.
type Keys = BTreeMap<String, (String, BTreeSet<String>)>;

/// Holds what the call leaves in Redis against the capture.
async fn check(name: &str, call: Signature<Untyped>) {
    let golden = capture(&format!("msg/{name}"));
    let space = Space::new();
    let app = app(&space);
    call.with_app(&app).send().await.unwrap_or_else(|error| panic!("{name}: {error}"));

    let key = golden["messages"][0]["key"].as_str().unwrap();
    assert_eq!(keys(&space).await, expected_keys(&golden), "{name}: the keys");
    let ours: Vec<String> = space.redis("LRANGE", &[&format!("{{}}{key}"), "0", "-1"]).await;
    let theirs = golden["messages"][0]["raw"].as_str().unwrap();
    assert_eq!(ours.len(), 1, "{name}: {ours:?}");
    assert_eq!(comparable(&ours[0]), comparable(theirs), "{name}: the message");
    let (ours, theirs) = (read(&ours[0]), read(theirs));
    assert_eq!((ours.args, ours.kwargs), (theirs.args, theirs.kwargs), "{name}: the arguments");
    assert_eq!(ours.embed, theirs.embed, "{name}: what follows");
}

/// What is in Redis, without the prefix and without a key of ours that expires.
async fn keys(space: &Space) -> Keys {
    let mut found = Keys::new();
    for key in space.redis::<Vec<String>>("KEYS", &["{}*"]).await {
        if key.contains("celery-published.") {
            continue;
        }
        let kind: String = space.redis("TYPE", &[&key]).await;
        let members = match kind.as_str() {
            "set" => space.redis("SMEMBERS", &[&key]).await,
            _ => BTreeSet::new(),
        };
        found.insert(key.strip_prefix(&space.prefix).unwrap().to_owned(), (kind, members));
    }
    found
}

/// The keys of the capture. Most were made by a process that had declared its queue before, and do not show it.
fn expected_keys(golden: &Value) -> Keys {
    let first = capture("msg/delay");
    let declared = if golden["messages"][0]["key"] == "emails" { golden } else { &first };
    let declared = declared["redis_after"].as_object().unwrap().iter();
    let declared = declared.filter(|(key, _)| key.starts_with("_kombu."));
    let mut expected = Keys::new();
    for (key, entry) in declared.chain(golden["redis_after"].as_object().unwrap()) {
        let members = match entry["type"].as_str().unwrap() {
            "set" => entry["value"].as_array().unwrap().as_slice(),
            _ => &[],
        };
        let members = members.iter().map(|member| member.as_str().unwrap().to_owned()).collect();
        expected.insert(key.clone(), (entry["type"].as_str().unwrap().to_owned(), members));
    }
    expected
}

/// The message as it lies in Redis, without what varies. What a compressor makes of a body is its own affair.
fn comparable(raw: &str) -> String {
    let envelope = json_of_celery::from_str(raw).unwrap();
    let (headers, properties) = (&envelope["headers"], &envelope["properties"]);
    let is_compressed = headers.get("compression").is_some_and(|it| !it.is_null());
    let date = |name: &str| headers[name].as_str().filter(|date| !date.starts_with("2030-"));
    // What was a tuple in Python is a list to us, and shows so where arguments are displayed.
    let raw = raw.replace("(...)", "[...]").replace("(1,)", "[1]");
    let text = neutral(
        &raw,
        &[
            ("id", headers["id"].as_str().filter(|id| *id != "my-own-id")),
            ("reply_to", properties["reply_to"].as_str().filter(|it| *it != "elsewhere")),
            ("origin", headers["origin"].as_str()),
            ("tag", properties["delivery_tag"].as_str()),
            ("eta", date("eta")),
            ("expires", date("expires")),
            ("body", envelope["body"].as_str().filter(|_| is_compressed)),
        ],
    );
    // The time that was left until 2030.
    match properties.get("expiration").and_then(Value::as_str) {
        Some(left) if left.len() > 7 => text.replace(left, "<time left>"),
        // A clock that is read twice may show that it went on.
        Some("59999") => text.replace("59999", "60000"),
        _ => text,
    }
}

fn read(raw: &str) -> TaskMessage {
    let message = envelope::from_json(raw.as_bytes()).expect("an envelope");
    let accepted = AcceptContent::new(["json", "msgpack", "yaml"]).unwrap();
    TaskMessage::decode(&message, &accepted).expect("a task message")
}

/// A call of `add(2, 3)` with what only the data of a signature can say.
fn changed(change: impl FnOnce(&mut Spec)) -> Signature<Untyped> {
    let mut spec = Add::s(2, 3).into_spec().unwrap();
    change(&mut spec);
    spec.into()
}

fn add() -> Signature<Untyped> {
    changed(|_| {})
}

/// The call of `echo` whose arguments are in the capture.
fn echo(name: &str) -> Signature<Untyped> {
    let golden = capture(&format!("msg/{name}"));
    let message = read(golden["messages"][0]["raw"].as_str().unwrap());
    let mut spec = Echo::s(None).into_spec().unwrap();
    (spec.args, spec.kwargs) = (message.args, message.kwargs);
    spec.into()
}

fn in_2030() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().unwrap()
}

#[tokio::test]
async fn calls_are_written_as_celery_writes_them() {
    check("delay", add()).await;
    let kwargs = |spec: &mut Spec| {
        spec.args = vec![json!(2)];
        spec.kwargs.insert("y".to_owned(), json!(3));
    };
    check("delay_kwargs", changed(kwargs)).await;
    check("queue", add().queue("emails")).await;
    check("task_id", add().task_id("my-own-id")).await;
    check("shadow", add().shadow("pretty name")).await;
    check("headers", add().header("x-trace", "abc").header("nested", json!({"a": 1}))).await;
    check("ignore_result", add().ignore_result(true)).await;
    check("time_limits", add().time_limit(60).soft_time_limit(50.5)).await;
    check("reply_to", changed(|spec| spec.options.reply_to = Some("elsewhere".to_owned()))).await;
    let secret = |spec: &mut Spec| {
        spec.options.argsrepr = Some("(secret)".to_owned());
        spec.options.kwargsrepr = Some("{secret}".to_owned());
    };
    check("argsrepr_explicit", changed(secret)).await;
    let by_name = Signature::named("not.registered.here").args((1,)).kwargs(json!({"k": "v"}));
    check("send_task", by_name).await;
}

#[tokio::test]
async fn dates_and_priorities_are_written_as_celery_writes_them() {
    check("countdown", add().countdown(30)).await;
    check("eta", add().eta(in_2030())).await;
    check("expires_seconds", add().expires(60)).await;
    check("expires_datetime", add().expires_at(in_2030())).await;
    let past = clock::now() - std::time::Duration::from_secs(5);
    check("expires_past", add().expires_at(past)).await;
    for priority in [0, 1, 3, 5, 6, 9, 12] {
        check(&format!("priority_{priority}"), add().priority(priority)).await;
    }
}

#[tokio::test]
async fn callbacks_are_written_as_celery_writes_them() {
    check("link", Add::s(2, 3).link(Mul::partial(10)).untyped()).await;
    check("link_many", Add::s(2, 3).link(Mul::partial(10)).link(Xsum::si(vec![1, 2])).untyped())
        .await;
    check("link_error", add().link_error(OnErrNew::partial())).await;
}

#[tokio::test]
async fn serializers_and_compressions_are_written_as_celery_writes_them() {
    for serializer in ["json", "msgpack", "yaml"] {
        check(&format!("serializer_{serializer}"), add().serializer(serializer)).await;
    }
    for compression in ["gzip", "zlib", "bzip2", "zstd"] {
        check(&format!("compression_{compression}"), add().compression(compression)).await;
    }
}

#[tokio::test]
async fn values_and_their_display_are_written_as_celery_writes_them() {
    check("json_special_types", echo("json_special_types")).await;
    check("argsrepr_long", echo("argsrepr_long")).await;
}
