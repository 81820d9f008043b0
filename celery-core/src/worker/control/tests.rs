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
    Panel::new(Arc::clone(&worker.node), Shutdown::default())
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

/// What Celery's own registry says of a command.
fn shown(command: &Command) -> Value {
    let arguments: Vec<_> = command
        .args
        .iter()
        .map(|(name, kind)| {
            let python = match kind {
                ArgumentType::Text => "str",
                ArgumentType::Int => "int",
                ArgumentType::Float => "float",
                ArgumentType::Bool => "strtobool",
                ArgumentType::Json => "json",
            };
            json!([name, python])
        })
        .collect();
    json!({
        "alias": command.alias,
        "type": if command.kind == CommandKind::Inspect { "inspect" } else { "control" },
        "visible": command.visible,
        "help": command.help,
        "signature": command.signature,
        "args": if arguments.is_empty() { Value::Null } else { arguments.into() },
        "variadic": command.variadic,
    })
}

/// The parameters of Python's function, with the word for those that are left out.
fn parameters(signature: &str) -> (Vec<(String, bool)>, bool) {
    let inner = signature.trim_start_matches("(state").trim_end_matches(')');
    let names: Vec<_> = inner.split(", ").filter(|name| !name.is_empty()).collect();
    let ignores_others = names.iter().any(|name| name.starts_with("**"));
    let named = names.iter().filter(|name| !name.starts_with("**")).map(|name| {
        let (name, default) = name.split_once('=').map_or((*name, None), |(n, d)| (n, Some(d)));
        (name.to_owned(), default.is_some())
    });
    (named.collect(), ignores_others)
}

#[tokio::test]
async fn each_command_is_described_as_celery_describes_it() {
    let celerys: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/control/registry.json"))
            .unwrap();
    let panel = panel();
    let names = |names: &mut dyn Iterator<Item = &str>| {
        names.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(
        names(&mut commands::COMMANDS.iter().map(|command| command.name)),
        names(&mut celerys.as_object().unwrap().keys().map(String::as_str)),
    );
    for command in commands::COMMANDS {
        let celerys = &celerys[command.name];
        let ours = shown(command);
        for (field, value) in ours.as_object().unwrap() {
            assert_eq!(value, &celerys[field], "{}: {field}", command.name);
        }
        let (expected, ignores_others) = parameters(celerys["python_signature"].as_str().unwrap());
        let named = command.parameters.iter();
        let named: Vec<_> = named.map(|of| (of.name.to_owned(), of.optional)).collect();
        assert_eq!(named, expected, "{}", command.name);
        // Of those that must be given, one is missing, or the other is told.
        let other = Map::from_iter([("no_such_argument".to_owned(), json!(1))]);
        let refused = command.call(&panel, other).await.err().map(|error| error.to_string());
        let is_strict = refused.is_some_and(|error| error.contains("unexpected keyword argument"));
        assert_eq!(is_strict, !ignores_others, "{}", command.name);
    }
}
