//! We send a canvas, Python workers do all the rest of it.

use celery::{AsyncResult, core::signature::Spec};
use peers::{LIMIT, PythonWorker, Space};
use serde_json::{Value, json};

use crate::harness::app;

#[expect(
    clippy::needless_pass_by_value,
    reason = "a canvas is read better without `&` at every part"
)]
fn task(name: &str, args: Value) -> Value {
    json!({ "task": format!("proj.tasks.{name}"), "args": args })
}

#[expect(clippy::needless_pass_by_value, reason = "as above")]
fn several(kind: &str, tasks: Value) -> Value {
    json!({ "task": format!("celery.{kind}"), "subtask_type": kind, "kwargs": { "tasks": tasks } })
}

#[expect(clippy::needless_pass_by_value, reason = "as above")]
fn chord(header: Value, body: Value) -> Value {
    let kwargs = json!({ "header": header, "body": body, "kwargs": {} });
    json!({ "task": "celery.chord", "subtask_type": "chord", "kwargs": kwargs })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_send_for_a_canvas_is_carried_on_by_python_workers() {
    let space = Space::new();
    let app = app(&space);
    let _worker = PythonWorker::start(&space, &["-P", "solo"]).await;
    let add = |x: i64, y: i64| task("add", json!([x, y]));
    let times = |x: i64| task("mul", json!([x]));
    let echo = || task("echo", json!([]));
    let fan = || several("group", json!([times(2), times(3)]));
    let adder = task("add", json!([]));
    let chunks = json!({ "task": "celery.chunks", "immutable": true, "kwargs": {
        "task": adder, "it": [[1, 1], [2, 2], [3, 3]], "n": 2,
    } });
    let cases = [
        ("a chain", several("chain", json!([add(1, 1), times(2), times(3)])), json!(12)),
        (
            "a fan in a chain",
            several("chain", json!([add(1, 1), fan(), echo(), echo()])),
            json!([4, 6]),
        ),
        ("a chord", chord(json!([add(1, 1), add(2, 2)]), echo()), json!([2, 4])),
        ("no header", chord(json!([]), echo()), json!([])),
        (
            "groups in a header",
            chord(json!([several("group", json!([add(1, 1), add(2, 2)])), add(3, 3)]), echo()),
            json!([4, 2, 6]),
        ),
        (
            "a chord in a header",
            chord(json!([chord(json!([add(1, 1), add(2, 2)]), echo()), add(3, 3)]), echo()),
            json!([[2, 4], 6]),
        ),
        (
            "a chain to a group in a header",
            chord(json!([several("chain", json!([add(1, 1), fan()])), add(5, 5)]), echo()),
            json!([[4, 6], 10]),
        ),
        (
            "a chain for a body",
            chord(json!([add(1, 1), add(2, 2)]), several("chain", json!([echo(), echo()]))),
            json!([2, 4]),
        ),
        (
            "a chord for a body",
            chord(json!([add(1, 1), add(2, 2)]), chord(json!([echo(), echo()]), echo())),
            json!([[2, 4], [2, 4]]),
        ),
        ("chunks in a chain", several("chain", json!([chunks, echo()])), json!([[2, 4], [6]])),
    ];
    for (name, canvas, expected) in cases {
        let sent = app.apply(Spec::from_value(canvas).unwrap()).await.unwrap();
        let result: AsyncResult = AsyncResult::from_tree(&app, sent);
        assert_eq!(result.get_within(LIMIT).await.unwrap(), expected, "{name}");
    }
}
