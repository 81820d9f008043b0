//! Joins beside Celery's own backend, on the same keys.

use std::{process::Stdio, sync::Arc};

use celery_core::{
    backend::{Backend, Callback, Counted, Joined, Joins, NewJoin, Part},
    config::ConfigLoader,
    state::{State, TaskMeta},
    transport,
    tree::ResultTree,
    value::Value,
};
use serde_json::json;

use crate::server::{Space, url, variable, within};

/// A backend in the namespace, and a Python peer beside it.
struct Chords {
    space: Space,
    options: Value,
    backend: Arc<dyn Backend>,
}

impl Chords {
    async fn new() -> Self {
        Self::with(json!({}), json!({})).await
    }

    async fn with(settings: Value, options: Value) -> Self {
        let space = Space::new().await;
        let mut all = options.clone();
        all["global_keyprefix"] = space.prefix.as_str().into();
        let loader = ConfigLoader::new().change("result_backend_transport_options", all);
        let settings = settings.as_object().unwrap().iter();
        let loader =
            settings.fold(loader, |loader, (name, value)| loader.change(name, value.clone()));
        let config = loader.load().unwrap();
        let backend = transport::connect_backend(Some(&url()), &config).await.unwrap();
        Self { space, options, backend }
    }

    fn joins(&self) -> &dyn Joins {
        self.backend.joins().unwrap()
    }

    async fn begin(&self, group_id: &str, members: &[&str]) {
        let members: Vec<_> = members.iter().copied().map(ResultTree::task).collect();
        let size = members.len() as u64;
        let header = ResultTree::group(group_id, members);
        let join = NewJoin { group_id: group_id.to_owned(), size, header, nests: false };
        self.joins().begin(&[join]).await.unwrap();
    }

    async fn count(&self, group_id: &str, index: i64, meta: &TaskMeta) -> Option<Joined> {
        let options = json!({ "task_id": "the body", "group_id": group_id });
        let body = json!({ "task": "body", "args": [], "kwargs": {}, "options": options, "subtask_type": null, "immutable": false });
        let callback = Callback { body, ..Callback::default() };
        let part = Part { group_id, index: Some(index), meta, stores: true, callback: &callback };
        self.joins().count(part).await.unwrap()
    }

    /// Has Celery's backend do all of it, in a process of its own.
    async fn python(&self, actions: &[Value]) {
        let command = std::process::Command::new(variable("CELERY_TEST_PYTHON"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/celery_peer.py"))
            // What Celery puts between is put there by us, too.
            .args([url().expose(), &self.space.prefix, &self.options.to_string()])
            .args(actions.iter().map(Value::to_string))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = within("Celery", tokio::task::spawn_blocking(|| command.wait_with_output()));
        let output = output.await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What is given to the bodies that were sent, oldest first.
    async fn bodies(&self) -> Vec<Value> {
        let sent: Vec<String> = self.space.ask("LRANGE", "bodies", &["0", "-1"]).await;
        let arguments = |sent: &String| {
            use base64::{Engine, prelude::BASE64_STANDARD};
            let envelope: Value = serde_json::from_str(sent).unwrap();
            let body = BASE64_STANDARD.decode(envelope["body"].as_str().unwrap()).unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()[0].take()
        };
        sent.iter().rev().map(arguments).collect()
    }

    /// What is there of chords, and of ours, but for results.
    async fn books(&self) -> Vec<String> {
        let mut keys = self.space.keys().await;
        keys.retain(|key| key.starts_with("celery-taskset") || key.starts_with("celery-join"));
        keys
    }

    /// The time comes at which the join is to be looked at.
    async fn look_now(&self, group_id: &str) {
        self.space.ask::<()>("ZADD", "celery-joins", &["XX", "0", group_id]).await;
    }
}

fn done(id: &str, result: impl Into<Value>) -> TaskMeta {
    TaskMeta::new(id, State::Success, result.into())
}

fn counted(id: &str, state: State, result: impl Into<Value>) -> Counted {
    Counted { task_id: id.to_owned(), state, result: result.into() }
}

fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/chord.json")).unwrap()
}

#[tokio::test]
async fn the_books_of_a_chord_are_celerys_after_every_part() {
    let chords = Chords::new().await;
    let fixture = fixture();
    let result = ResultTree::from_value(&fixture["result"]).unwrap();
    let header = *result.parent.unwrap();
    let group = header.id.clone();
    let new = NewJoin { group_id: group.clone(), size: 3, header, nests: false };
    chords.joins().begin(&[new]).await.unwrap();
    let mut joined = None;
    let mut stored: Vec<String> = Vec::new();
    for step in fixture["steps"].as_array().unwrap() {
        let keys = step["keys"].as_object().unwrap();
        // The parts that are stored by now were counted.
        for (key, entry) in keys {
            let Some(id) = key.strip_prefix("celery-task-meta-") else { continue };
            let document = serde_json::from_str(entry["value"].as_str().unwrap()).unwrap();
            let meta = TaskMeta::from_value(id, document).unwrap();
            // The body has no part in this.
            if !stored.contains(key) && meta.parent_id.is_none() {
                stored.push(key.clone());
                let places = [("07762bc0", 2), ("a810e9ed", 0), ("9fb5b69c", 1)];
                let place = places.iter().find(|place| id.starts_with(place.0)).unwrap().1;
                joined = chords.count(&group, place, &meta).await;
                assert_eq!(joined.is_some(), stored.len() == 3);
            }
        }
        if let Some(joined) = joined.take() {
            let results: Vec<_> = joined.parts.iter().map(|part| part.result.clone()).collect();
            assert_eq!(results, [10, 20, 30]);
            assert!(chords.joins().finish(&joined).await.unwrap());
        }
        let body = format!("celery-task-meta-{}", result.id);
        let mut there = chords.space.keys().await;
        there.retain(|key| key.starts_with("celery-task"));
        let expected: Vec<_> = keys.keys().filter(|key| **key != body).cloned().collect();
        assert_eq!(there, expected, "{}", step["step"]);
        for key in there {
            let entry = &keys[&key];
            let ttl: i64 = chords.space.ask("TTL", &key, &[]).await;
            // That it is done is known for longer than in Celery.
            let least =
                if key.ends_with(".c") { 7190 } else { entry["ttl"].as_i64().unwrap() - 10 };
            assert!((least..=least + 20).contains(&ttl), "{key}: {ttl}");
            let value = match entry["type"].as_str().unwrap() {
                "string" => chords.space.ask::<String>("GET", &key, &[]).await.into(),
                "set" => {
                    let mut members: Vec<String> = chords.space.ask("SMEMBERS", &key, &[]).await;
                    members.sort();
                    members.into()
                }
                _ => {
                    let range = ["0", "-1", "WITHSCORES"];
                    let members: Vec<(String, f64)> =
                        chords.space.ask("ZRANGE", &key, &range).await;
                    json!(members)
                }
            };
            assert_eq!(value, entry["value"], "{key}, {}", step["step"]);
        }
    }
    let ours = chords.books().await;
    assert_eq!(ours, [format!("celery-taskset-meta-{group}.c")], "nothing of ours is left");
}

#[tokio::test]
async fn we_complete_what_python_has_counted_too() {
    let chords = Chords::new().await;
    chords.begin("g", &["a", "b", "c", "d"]).await;
    let python = [
        json!(["count", "g", "b", 1, "FAILURE", ["bad", 3]]),
        json!(["count", "g", "a", 0, "SUCCESS", { "x": "é" }]),
        json!(["add", "g"]),
        json!(["count", "g", "later", null, "SUCCESS", null]),
        json!(["count", "g", "a", 0, "SUCCESS", "not the first time"]),
    ];
    chords.python(&python).await;
    // What Python has counted comes again, and is not counted.
    assert_eq!(chords.count("g", 0, &done("a", "again")).await, None);
    assert_eq!(chords.count("g", 3, &done("d", 4)).await, None);
    let joined = chords.count("g", 2, &done("c", 3)).await.expect("all five are there");
    let error =
        json!({ "exc_type": "ValueError", "exc_message": ["bad", 3], "exc_module": "builtins" });
    let parts = [
        counted("a", State::Success, json!({ "x": "é" })),
        counted("b", State::Failure, error),
        counted("c", State::Success, 3),
        counted("d", State::Success, 4),
        counted("later", State::Success, Value::Null),
    ];
    assert_eq!(joined.parts, parts);
    // Nor does Python complete what we are about to, or have.
    let again = [json!(["count", "g", "c", 2, "SUCCESS", 3])];
    chords.python(&again).await;
    assert!(chords.joins().finish(&joined).await.unwrap());
    chords.python(&again).await;
    assert_eq!(chords.bodies().await, Vec::<Value>::new());
    assert_eq!(chords.books().await, ["celery-taskset-meta-g.c"]);
}

#[tokio::test]
async fn python_completes_what_we_have_counted_too() {
    let chords = Chords::new().await;
    chords.python(&[json!(["size", "g", 3]), json!(["count", "g", "b", 1, "SUCCESS", 2])]).await;
    assert_eq!(chords.count("g", 0, &done("a", json!(["ü"]))).await, None);
    assert_eq!(chords.count("g", 1, &done("b", 2)).await, None);
    chords.python(&[json!(["count", "g", "c", 2, "SUCCESS", 3])]).await;
    assert_eq!(chords.bodies().await, [json!([[["ü"], 2, 3]])]);
    assert_eq!(chords.count("g", 0, &done("a", 1)).await, None, "it is done");
    assert_eq!(chords.joins().unfinished().await.unwrap(), []);
    // What we kept of it goes when it is looked at.
    assert!(chords.books().await.contains(&"celery-join.g".to_owned()));
    chords.look_now("g").await;
    assert_eq!(chords.joins().overdue().await.unwrap(), []);
    assert_eq!(chords.books().await, ["celery-taskset-meta-g.c"]);
}

#[tokio::test]
async fn what_python_has_failed_is_done() {
    let chords = Chords::new().await;
    chords.begin("ours", &["a", "b"]).await;
    chords.count("ours", 0, &done("a", 1)).await;
    let failure = json!(["count", "ours", "b", 1, "FAILURE", ["bad"]]);
    chords.python(&[failure, json!(["size", "python's", 2])]).await;
    chords.count("python's", 0, &done("a", 1)).await;
    chords.python(&[json!(["count", "python's", "b", 1, "FAILURE", ["bad"]])]).await;
    assert_eq!(chords.joins().unfinished().await.unwrap(), []);
    for group in ["ours", "python's"] {
        assert_eq!(chords.joins().look(group).await.unwrap(), None);
        assert_eq!(chords.count(group, 0, &done("a", 1)).await, None, "it comes again");
        chords.look_now(group).await;
    }
    assert_eq!(chords.joins().overdue().await.unwrap(), []);
    assert!(!chords.books().await.iter().any(|key| key.starts_with("celery-join")));
    // And what is begun once more counts from the beginning.
    chords.begin("ours", &["a", "b"]).await;
    chords.count("ours", 0, &done("a", 1)).await;
    let failure = json!(["count", "ours", "b", 1, "FAILURE", ["bad"]]);
    chords.python(&[failure]).await;
    chords.begin("ours", &["a", "b"]).await;
    assert_eq!(chords.count("ours", 0, &done("a", 1)).await, None);
    assert_eq!(chords.bodies().await, Vec::<Value>::new());
}

#[tokio::test]
async fn python_makes_lists_of_the_groups_in_a_header_that_we_have_saved() {
    let chords = Chords::new().await;
    let inner = ResultTree::group("inner", vec![ResultTree::task("a"), ResultTree::task("b")]);
    let header = ResultTree::group("g", vec![inner, ResultTree::task("c")]);
    let join = NewJoin { group_id: "g".to_owned(), size: 3, header, nests: true };
    chords.joins().begin(&[join]).await.unwrap();
    chords.count("g", 1, &done("a", 1)).await;
    chords.count("g", 0, &done("b", 2)).await;
    chords.python(&[json!(["count", "g", "c", 2, "SUCCESS", 3])]).await;
    assert_eq!(chords.bodies().await, [json!([[[1, 2], 3]])]);
}

#[tokio::test]
async fn without_order_parts_are_in_a_list_as_they_came_on_both_sides() {
    let options = json!({ "result_chord_ordered": false });
    let chords = Chords::with(json!({}), options).await;
    chords.begin("ours", &["a", "b", "c"]).await;
    chords.python(&[json!(["count", "ours", "c", 2, "SUCCESS", 3])]).await;
    chords.count("ours", 1, &done("b", 2)).await;
    chords.count("ours", 1, &done("b", 2)).await;
    let joined = chords.count("ours", 0, &done("a", 1)).await.expect("all three are there");
    let ids: Vec<_> = joined.parts.iter().map(|part| part.task_id.as_str()).collect();
    assert_eq!(ids, ["c", "b", "a"]);
    assert_eq!(chords.space.ask::<String>("TYPE", "celery-taskset-meta-ours.j", &[]).await, "list");

    chords.begin("python's", &["a", "b"]).await;
    chords.count("python's", 1, &done("b", 2)).await;
    chords.python(&[json!(["count", "python's", "a", 0, "SUCCESS", 1])]).await;
    assert_eq!(chords.bodies().await, [json!([[2, 1]])]);
}

#[tokio::test]
async fn who_keeps_parts_in_another_way_is_told_so() {
    let chords = Chords::with(json!({}), json!({ "result_chord_ordered": false })).await;
    chords.begin("g", &["a", "b"]).await;
    chords
        .space
        .ask::<()>("ZADD", "celery-taskset-meta-g.j", &["0", "[1, \"a\", \"SUCCESS\", 1]"])
        .await;
    let meta = done("b", 2);
    let callback = Callback::default();
    let part =
        Part { group_id: "g", index: Some(1), meta: &meta, stores: true, callback: &callback };
    let error = chords.joins().count(part).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("see `result_chord_ordered`"), "{source}");
    assert_eq!(chords.backend.get("b").await.unwrap(), None, "it is not stored either");
}

#[tokio::test]
async fn what_a_python_worker_died_of_is_completed_by_a_worker_of_ours() {
    let chords = Chords::new().await;
    chords.python(&[json!(["size", "g", 2])]).await;
    assert_eq!(chords.count("g", 0, &done("a", 1)).await, None);
    chords.python(&[json!(["count and die", "g", "b", 1, "SUCCESS", 2])]).await;
    assert_eq!(chords.bodies().await, Vec::<Value>::new());
    // It is Python's for as long as it has claimed it.
    chords.look_now("g").await;
    assert_eq!(chords.joins().overdue().await.unwrap(), []);
    chords.space.ask::<()>("DEL", "celery-taskset-meta-g.c", &[]).await;
    // And for as long as a worker of an older Celery may need, which claims nothing.
    chords.look_now("g").await;
    assert_eq!(chords.joins().overdue().await.unwrap(), []);
    chords.look_now("g").await;
    let overdue = chords.joins().overdue().await.unwrap();
    let [joined] = overdue.as_slice() else { panic!("{overdue:?}") };
    let parts = [counted("a", State::Success, 1), counted("b", State::Success, 2)];
    assert_eq!(joined.parts, parts);
    assert_eq!(joined.callback.body["options"]["task_id"], "the body");
    assert!(chords.joins().finish(joined).await.unwrap());
}

#[tokio::test]
async fn what_a_python_worker_has_sent_before_it_died_is_not_sent_again_when_its_result_is_there() {
    let chords = Chords::new().await;
    for group in ["swept", "redelivered"] {
        chords.python(&[json!(["size", group, 2])]).await;
        assert_eq!(chords.count(group, 0, &done("a", 1)).await, None);
        chords.python(&[json!(["count and die", group, "b", 1, "SUCCESS", 2])]).await;
        chords.space.ask::<()>("DEL", &format!("celery-taskset-meta-{group}.c"), &[]).await;
    }
    chords.backend.store(&TaskMeta::new("the body", State::Started, Value::Null)).await.unwrap();
    assert_eq!(chords.count("redelivered", 1, &done("b", 2)).await, None);
    for _ in 0..2 {
        chords.look_now("swept").await;
        assert_eq!(chords.joins().overdue().await.unwrap(), []);
    }
    let done = ["celery-taskset-meta-redelivered.c", "celery-taskset-meta-swept.c"];
    assert_eq!(chords.books().await, done);
}

#[tokio::test]
async fn a_part_that_an_older_celery_has_counted_is_counted_with_ours() {
    let chords = Chords::new().await;
    chords.begin("g", &["a", "b"]).await;
    // It keeps no set of those that it has counted.
    let part = "[1, \"a\", \"SUCCESS\", 1]";
    chords.space.ask::<()>("ZADD", "celery-taskset-meta-g.j", &["0", part]).await;
    assert_eq!(chords.count("g", 0, &done("a", 1)).await, None, "it is the same part");
    let joined = chords.count("g", 1, &done("b", 2)).await.expect("both are there");
    assert_eq!(joined.parts.len(), 2);
}

#[tokio::test]
async fn parts_are_written_and_read_as_results_are() {
    for settings in [
        json!({ "result_serializer": "msgpack" }),
        json!({ "result_serializer": "yaml" }),
        json!({ "result_compression": "zlib" }),
    ] {
        let chords = Chords::with(settings.clone(), json!({})).await;
        let header =
            ResultTree::group("g", vec![ResultTree::group("i", vec![]), ResultTree::task("a")]);
        let join =
            NewJoin { group_id: "g".to_owned(), size: 1, header: header.clone(), nests: true };
        chords.joins().begin(&[join]).await.unwrap();
        let joined = chords.count("g", 0, &done("a", json!(["é", 1.5]))).await;
        let joined = joined.expect("the part is there");
        assert_eq!(joined.parts, [counted("a", State::Success, json!(["é", 1.5]))], "{settings}");
        assert_eq!(joined.header, Some(header), "{settings}");
    }
}

#[tokio::test]
async fn the_books_of_a_chord_live_as_long_as_the_settings_say() {
    let books =
        ["celery-join.g", "celery-joins", "celery-taskset-meta-g.j", "celery-taskset-meta-g.s"];
    for (settings, least, group) in [
        (json!({ "result_chord_expires": 500 }), 490, 86_390),
        (json!({ "result_expires": 700 }), 690, 690),
        (json!({ "result_chord_expires": 0 }), -1, -1),
        (json!({ "result_expires": null, "result_chord_expires": 300 }), 290, 290),
    ] {
        let chords = Chords::with(settings.clone(), json!({})).await;
        let members = vec![ResultTree::task("a"), ResultTree::task("b")];
        let header = ResultTree::group("g", members);
        let join = NewJoin { group_id: "g".to_owned(), size: 2, header, nests: true };
        chords.joins().begin(&[join]).await.unwrap();
        chords.count("g", 0, &done("a", 1)).await;
        let ttl = async |key: &str| chords.space.ask::<i64>("TTL", key, &[]).await;
        for key in books {
            let ttl = ttl(key).await;
            assert!((least..=least + 10).contains(&ttl) || ttl == least, "{settings} {key} {ttl}");
        }
        let saved = ttl("celery-taskset-meta-g").await;
        assert!((group..=group + 10).contains(&saved), "{settings}: {saved}");
    }
}

#[tokio::test]
async fn a_hundred_overdue_joins_are_all_given_away_once() {
    let chords = Chords::with(json!({ "result_chord_join_timeout": 60 }), json!({})).await;
    for number in 0..100 {
        let group = format!("g{number}");
        chords.begin(&group, &["a"]).await;
        assert!(chords.count(&group, 0, &done("a", number)).await.is_some());
        chords.space.ask::<()>("DEL", &format!("celery-taskset-meta-{group}.c"), &[]).await;
        chords.look_now(&group).await;
    }
    let mut given = Vec::new();
    loop {
        let overdue = chords.joins().overdue().await.unwrap();
        if overdue.is_empty() {
            break;
        }
        given.extend(overdue.into_iter().map(|joined| joined.group_id));
    }
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 100);
}
