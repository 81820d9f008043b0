use celery_core::broker::Queue;
use clap::{CommandFactory, error::ErrorKind};
use serde_json::{Value, json};

use super::*;
use crate::cli::output::python_str;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    // Words are separated by spaces, so that arguments may hold none.
    Cli::read(Cli::command(), line.split(' ').map(OsString::from))
}

#[track_caller]
fn refused(line: &str, kind: ErrorKind) {
    assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
}

fn app(name: &str) -> impl FnOnce() -> Result<Celery, celery_core::error::Error> {
    let url = format!("memory://{name}");
    move || Celery::builder("test").environment_from([]).broker(url.clone()).backend(url).build()
}

async fn run(line: &str, name: &str) -> Result<ExitCode, Failure> {
    parse(line).unwrap().try_run(app(name)).await
}

#[test]
fn the_command_line_is_put_together_without_contradictions() {
    Cli::command().debug_assert();
}

#[test]
fn options_of_the_worker_have_celerys_names() {
    let line = "celery -b redis://h/0 --result-backend redis://h/1 -C -q worker -n w1@%h -Q a,b -X c -c 3 -l debug -P solo --prefetch-multiplier 2 --time-limit 90 --soft-time-limit 60.5 -f w.log --pidfile w.pid --purge -E --heartbeat-interval 5";
    let cli = parse(line).unwrap();
    assert!(cli.no_color && cli.quiet);
    let overrides = cli.overrides();
    assert_eq!(overrides.broker_url.as_deref(), Some("redis://h/0"));
    assert_eq!(overrides.result_backend.as_deref(), Some("redis://h/1"));
    assert_eq!(overrides.settings, [("worker_pool".to_owned(), json!("solo"))]);
    let Command::Worker(args) = cli.command else { panic!("not the worker") };
    let shown = format!("{args:?}");
    for part in ["Number(3)", "Debug", r#"["a", "b"]"#, "60.5s", "purge: true", "w.pid"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    for part in ["task_events: true", "heartbeat_interval: Some(5s)"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn options_that_this_version_does_not_have_are_refused() {
    refused("celery worker --autoscale=3,1,2", ErrorKind::ValueValidation);
    refused("celery worker --autoscale=many", ErrorKind::ValueValidation);
    // What it never does can be asked of it, as unit files of other workers do.
    let without = "--without-gossip --without-mingle --without-heartbeat";
    assert!(parse(&format!("celery worker {without}")).is_ok());
    for pool in ["eventlet", "gevent"] {
        refused(&format!("celery worker -P {pool}"), ErrorKind::InvalidValue);
    }
    refused("celery worker -c many", ErrorKind::ValueValidation);
    refused("celery worker -l LOUD", ErrorKind::InvalidValue);
    refused("celery inspect", ErrorKind::MissingRequiredArgument);
    refused("celery celebrate", ErrorKind::InvalidSubcommand);
}

#[test]
fn arguments_of_a_call_are_json_of_the_right_kind() {
    assert!(parse(r#"celery call t.add -a [2,2] -k {"x":1}"#).is_ok());
    refused("celery call t.add -a {}", ErrorKind::ValueValidation);
    refused("celery call t.add -a [2", ErrorKind::ValueValidation);
    refused("celery call t.add -k []", ErrorKind::ValueValidation);
    refused("celery call t.add --countdown 3 --eta 2030-01-02", ErrorKind::ArgumentConflict);
}

#[test]
fn replies_are_printed_as_celery_prints_them() {
    let output = Output { colors: false, quiet: false };
    let check = |reply: Value, with_body: bool, expected: &str| {
        assert_eq!(output.reply("w1@h", &reply, with_body), expected);
    };
    check(json!({"ok": "pong"}), true, "->  w1@h: OK\n        pong");
    check(json!({"ok": "pong"}), false, "->  w1@h: OK");
    check(json!(["t.add", "t.bad"]), true, "->  w1@h: OK\n    * t.add\n    * t.bad");
    check(json!([]), true, "->  w1@h: OK\n    - empty -");
    check(json!({"error": "KeyError('x')"}), true, "->  w1@h: ERROR\n        KeyError('x')");
    check(
        json!({"b": [1], "a": {}}),
        true,
        "->  w1@h: OK\n    {\n        \"a\": {},\n        \"b\": [\n            1\n        ]\n    }",
    );
    check(json!(null), true, "->  w1@h: OK\n    None");
    let quiet = Output { quiet: true, ..output };
    assert_eq!(quiet.reply("w1@h", &json!({"ok": "pong"}), true), " w1@h: OK\n        pong");
    let colored = Output { colors: true, quiet: false };
    assert_eq!(
        colored.reply("w1@h", &json!({"ok": "pong"}), false),
        "\x1b[37m\x1b[1m->\x1b[0m  \x1b[36m\x1b[1mw1@h: \x1b[0m\x1b[32m\x1b[1mOK\x1b[0m"
    );
}

#[test]
fn values_are_printed_as_python_prints_them() {
    assert_eq!(python_str(&json!("text")), "text");
    assert_eq!(python_str(&json!({"a": [1, "x", null, true]})), "{'a': [1, 'x', None, True]}");
    assert_eq!(python_str(&json!([[[[[1]]]]])), "[[[[[1]]]]]");
    assert_eq!(python_str(&json!(["it's"])), r#"["it's"]"#);
}

#[tokio::test(start_paused = true)]
async fn nobody_replying_is_exit_status_69() {
    for line in ["celery inspect ping", "celery inspect registered -j", "celery status -t 0.1"] {
        let failure = run(line, "cli-nobody").await.unwrap_err();
        let expected =
            Failure::new("No nodes replied within time constraint").code(failure::UNAVAILABLE);
        assert_eq!(failure, expected, "{line}");
    }
}

#[tokio::test]
async fn a_call_is_a_message_in_its_queue_until_it_is_purged() {
    let name = "cli-purge";
    run("celery call t.add -a [2,2] --queue slow", name).await.unwrap();
    run("celery call t.add --expires 60", name).await.unwrap();
    let app = app(name)().unwrap();
    let broker = app.broker().await.unwrap();
    assert_eq!(broker.queue_len("slow").await.unwrap(), 1);
    run("celery purge -f -Q slow", name).await.unwrap();
    assert_eq!(broker.queue_len("slow").await.unwrap(), 0);
    assert_eq!(broker.queue_len("celery").await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_in_quarantine_is_put_back_or_dropped_by_its_id_or_all_of_it() {
    let name = "cli-quarantine";
    let app = app(name)().unwrap();
    let broker = app.broker().await.unwrap();
    for _ in 0..3 {
        run("celery call t.add -a [2,2] --queue slow", name).await.unwrap();
    }
    let mut consumer = broker.consume(&[Queue::named("slow")], None).await.unwrap();
    let deliveries = consumer.next().await.unwrap();
    assert_eq!(deliveries.len(), 3);
    for delivery in deliveries {
        delivery.quarantine("nobody knows it").await.unwrap();
    }
    drop(consumer);
    let kept = async || broker.quarantined("slow").await.unwrap().len();
    let quarantined = broker.quarantined("slow").await.unwrap();
    // By the id of its task, or by its own.
    let task_id = quarantined[0].message().unwrap().headers["id"].as_str().unwrap().to_owned();
    let own_id = &quarantined[1].id;
    run("celery quarantine list -Q slow", name).await.unwrap();
    run("celery quarantine list", name).await.unwrap();
    let missing =
        run(&format!("celery quarantine drop -f {task_id} -Q other"), name).await.unwrap_err();
    assert_eq!(missing.code, 1);
    assert!(missing.message.contains("in quarantine; `quarantine list`"), "{}", missing.message);
    assert_eq!(kept().await, 3);
    run(&format!("celery quarantine requeue -f {task_id} -Q slow"), name).await.unwrap();
    assert_eq!((kept().await, broker.queue_len("slow").await.unwrap()), (2, 1));
    run(&format!("celery quarantine drop -f {own_id} -Q slow"), name).await.unwrap();
    assert_eq!((kept().await, broker.queue_len("slow").await.unwrap()), (1, 1));
    run("celery quarantine requeue --all -f -Q slow", name).await.unwrap();
    assert_eq!((kept().await, broker.queue_len("slow").await.unwrap()), (0, 2));
    for line in ["drop", "requeue one --all", "list one"] {
        assert!(parse(&format!("celery quarantine {line}")).is_err(), "{line}");
    }
}

#[tokio::test]
async fn the_bindings_of_the_settings_are_there_to_be_listed() {
    let name = "cli-bindings";
    run("celery list bindings", name).await.unwrap();
    let bound = app(name)().unwrap().broker().await.unwrap().bindings().await.unwrap();
    let bound: Vec<_> =
        bound.iter().map(|it| (&*it.queue, &*it.exchange, &*it.routing_key)).collect();
    assert_eq!(bound, [("celery", "celery", "celery")]);
}

#[test]
fn a_shell_completes_commands_and_options_and_nothing_that_is_refused() {
    for shell in ["bash", "zsh", "fish"] {
        let cli = parse(&format!("celery completion {shell}")).unwrap();
        let Command::Completion(args) = cli.command else { panic!("not the completion") };
        let script = completion::script(&args, Cli::command(), "/usr/bin/mysite".as_ref());
        let script = String::from_utf8(script).unwrap();
        for word in ["mysite", "migrate", "prefetch-multiplier", "bindings"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("detach"), "{shell}");
    }
}

#[tokio::test]
async fn a_date_that_is_none_is_exit_status_2() {
    let failure = run("celery call t.add --eta tomorrow", "cli-eta").await.unwrap_err();
    assert_eq!(failure.code, failure::USAGE);
    assert!(
        failure.message.contains("\"tomorrow\" is not an ISO 8601 date"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_task_that_the_program_has_not_is_named_in_the_complaint() {
    let failure = run("celery result abc --task t.add", "cli-result").await.unwrap_err();
    assert!(failure.message.starts_with("this program has no task `t.add`"), "{}", failure.message);
}

#[tokio::test]
async fn a_pool_of_the_settings_that_is_not_there_is_refused() {
    let build =
        || Celery::builder("test").environment_from([]).set("worker_pool", "gevent").build();
    let failure = parse("celery -q worker").unwrap().try_run(build).await.unwrap_err();
    assert!(failure.message.contains("there is no `gevent`"), "{}", failure.message);
}

#[tokio::test]
async fn an_app_that_cannot_be_built_says_why() {
    let build =
        || Celery::builder("test").environment_from([]).set("task_time_limit", "soon").build();
    let failure = parse("celery report").unwrap().try_run(build).await.unwrap_err();
    assert!(failure.message.starts_with("could not build the app: "), "{}", failure.message);
    assert!(failure.message.contains("task_time_limit"), "{}", failure.message);
}

#[test]
fn a_queue_without_a_name_is_refused() {
    refused("celery worker -Q a,,b", ErrorKind::ValueValidation);
    refused("celery worker -X ", ErrorKind::ValueValidation);
}
