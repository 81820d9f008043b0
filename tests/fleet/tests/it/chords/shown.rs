//! `chord list` and `chord show`: what a chord waits for.

use celery::core::state::{ExtendedMeta, State, TaskMeta};
use peers::{Space, run};
use serde_json::{Value, json};

use super::{begin, count};
use crate::harness::command;

async fn printed(space: &Space, line: &str) -> String {
    run(&mut command(space, &line.split(' ').collect::<Vec<_>>())).await
}

async fn json_of(space: &Space, line: &str) -> Value {
    let printed = printed(space, line).await;
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}\n{printed}"))
}

#[tokio::test]
async fn a_chord_that_waits_is_shown_with_the_parts_that_are_missing_and_their_states() {
    let space = Space::new();
    let app = space.app();
    assert_eq!(printed(&space, "chord list").await, "Every chord that is known is finished.\n");
    begin(&app, "first", &["a", "b", "c", "d", "e"]).await;
    count(&app, "first", 3, &TaskMeta::new("d", State::Success, json!("secret"))).await;
    let error =
        json!({ "exc_type": "ValueError", "exc_message": ["bad"], "exc_module": "builtins" });
    count(&app, "first", 0, &TaskMeta::new("a", State::Failure, error)).await;
    let extended = ExtendedMeta { name: Some("proj.tasks.add".to_owned()), ..Default::default() };
    let started =
        TaskMeta { extended: Some(extended), ..TaskMeta::new("b", State::Started, Value::Null) };
    let backend = app.backend().await.expect("Redis answers");
    backend.store(&started).await.expect("it is stored");
    // A worker stored this, and died before it was counted.
    backend.store(&TaskMeta::new("e", State::Success, json!(1))).await.expect("it is stored");
    begin(&app, "second", &["x"]).await;
    count(&app, "second", 0, &TaskMeta::new("x", State::Success, json!(1))).await;

    let listed = printed(&space, "chord list").await;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("first: 2 of 5 parts, since 20"), "{listed}");
    assert!(lines[1].starts_with("second: 1 of 1 part, since 20"), "{listed}");
    assert!(lines[1].ends_with(", its body is being sent"), "{listed}");
    space.redis::<()>("DEL", &["{}celery-taskset-meta-second.c"]).await;
    let second = printed(&space, "chord show second").await;
    assert!(second.contains(", its body is not sent: a worker will\n"), "{second}");

    let shown = printed(&space, "chord show first").await;
    let (_, parts) = shown.split_once('\n').expect("several lines");
    let expected = "  body: proj.tasks.xsum  the-body
  missing:
    * b  STARTED  proj.tasks.add
    * c  PENDING  (waits in a queue, or was lost)
    * e  SUCCESS  (done, and not counted)
  counted, and failed:
    * a  FAILURE  ValueError: bad
";
    assert_eq!(parts, expected);
    let as_json = json_of(&space, "chord show first --json").await;
    let missing = json!([
        { "task_id": "b", "state": "STARTED", "task": "proj.tasks.add" },
        { "task_id": "c", "state": "PENDING", "task": null },
        { "task_id": "e", "state": "SUCCESS", "task": null },
    ]);
    assert_eq!(as_json["missing"], missing);
    assert_eq!(as_json["body"], json!({ "task": "proj.tasks.xsum", "id": "the-body" }));
    assert!(!as_json.to_string().contains("secret") && !shown.contains("secret"));
    let all = json_of(&space, "chord list --json").await;
    assert_eq!(all[1]["group_id"], "second");
    assert_eq!(
        (&all[0]["counted"], &all[0]["size"], &all[1]["complete"]),
        (&json!(2), &json!(5), &json!(true))
    );
}

#[tokio::test]
async fn of_a_chord_of_pythons_it_is_said_what_is_known() {
    let space = Space::new();
    space.redis::<()>("SET", &["{}celery-taskset-meta-python.s", "3"]).await;
    let part = "[1, \"a\", \"SUCCESS\", 1]";
    space.redis::<()>("ZADD", &["{}celery-taskset-meta-python.j", "0", part]).await;
    let shown = printed(&space, "chord show python").await;
    let expected = "python: 1 of 3 parts
  which parts are missing is not known, since Python's client keeps no list of them
";
    assert_eq!(shown, expected);
    assert_eq!(printed(&space, "chord list").await, "Every chord that is known is finished.\n");
    // Where its header holds groups Python saves it.
    let saved = json!({ "result": [["python", null], [[["a", null], null], [["i", null], [[["b", null], null], [["c", null], null]]]]] });
    space.redis::<()>("SET", &["{}celery-taskset-meta-python", &saved.to_string()]).await;
    let shown = json_of(&space, "chord show --json python").await;
    let ids: Vec<_> = shown["missing"]
        .as_array()
        .expect("it is known")
        .iter()
        .map(|it| it["task_id"].clone())
        .collect();
    assert_eq!(ids, ["b", "c"]);
}

#[tokio::test]
async fn a_chord_of_which_nothing_is_known_is_exit_status_1() {
    let space = Space::new();
    let output = command(&space, &["chord", "show", "nobody's"]).output().await.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("nothing is known of a chord `nobody's`"), "{said}");
    let space = Space::new().with("result_backend", Value::Null);
    let output = command(&space, &["chord", "list"]).output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("this result backend counts no parts of chords"), "{said}");
}
