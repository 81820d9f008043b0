use std::sync::Arc;

use serde_json::json;

use super::{command::ok, *};
use crate::{
    app::Celery,
    arguments::{Bound, Parameter},
    value::Map,
    worker::{Worker, WorkerOptions},
};

fn panel() -> Panel {
    let app =
        Celery::builder("test").broker("memory://panel").environment_from([]).build().unwrap();
    let options = WorkerOptions { hostname: Some("w1@h".to_owned()), ..WorkerOptions::default() };
    let worker = Worker::new(&app, options).unwrap();
    Panel { node: Arc::clone(&worker.node), shutdown: Shutdown::default() }
}

async fn show(_: &Panel, mut given: Bound) -> Answer {
    ok(format!("{}{}", given.take::<String>(0)?, given.take_or(1, || 1)?))
}

async fn boom(_: &Panel, _: Bound) -> Answer {
    panic!("it's over")
}

const SHOW: Command = Command::inspect("show", |panel, given| Box::pin(show(panel, given)))
    .parameters(&[Parameter::required("text"), Parameter::optional("n")]);

async fn check(command: &Command, arguments: Value, expected: &str) {
    let Value::Object(arguments) = arguments else { panic!("no object") };
    let answer = command.call(&panel(), arguments).await;
    let shown =
        answer.map_or_else(|e| e.to_string(), |value| value.unwrap_or_default().to_string());
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn arguments_are_bound_by_name_with_pythons_complaints() {
    check(&SHOW, json!({"text": "a"}), r#"{"ok":"a1"}"#).await;
    check(&SHOW, json!({"text": "a", "n": 7, "other": 1}), r#"{"ok":"a7"}"#).await;
    check(
        &SHOW,
        json!({"n": 7}),
        r#"TypeError("show() missing 1 required positional argument: 'text'")"#,
    )
    .await;
    check(
        &SHOW.strict(),
        json!({"text": "a", "other": 1}),
        r#"TypeError("show() got an unexpected keyword argument 'other'")"#,
    )
    .await;
    check(
        &SHOW,
        json!({"text": "a", "n": "b"}),
        r#"TypeError('show() argument \'n\': invalid type: string "b", expected i32')"#,
    )
    .await;
}

#[tokio::test]
async fn a_command_that_panics_has_failed_and_no_more() {
    let command = Command::control("boom", |panel, given| Box::pin(boom(panel, given)));
    check(&command, json!({}), r#"Panic("it's over")"#).await;
}

#[tokio::test]
async fn a_command_that_nobody_knows_is_pythons_key_error() {
    let request = Request::new("no_such_command", Map::new());
    let answer = answer(&panel(), &request).await;
    assert_eq!(answer, Some(json!({ "error": "KeyError('no_such_command')" })));
}
