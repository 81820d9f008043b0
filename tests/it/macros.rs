//! What `#[shared_task]`, `#[task]` and `#[remote_task]` make of functions.

use std::{sync::Arc, time::Duration};

use celery::{__private::Body, Celery, Context, Task, TaskError, Worker, WorkerOptions};
use celery_core::{
    arguments::{Bound, Parameter},
    options::ErrorType,
    protocol::TaskMessage,
    registry::Registration,
    task::Failure,
};
use serde_json::{Map, Value, json};

mod tasks;

pub(crate) use tasks::Database;
use tasks::*;

fn app() -> Celery {
    let state = Database(Arc::from("db"));
    Celery::builder("macros").broker("memory://macros").state(state).build().unwrap()
}

fn registered<T: Task>() -> Registration {
    *app()
        .registry()
        .unwrap()
        .get(T::NAME)
        .unwrap_or_else(|| panic!("{} is not registered", T::NAME))
}

/// Runs the registered body of the task as a worker would.
async fn run<T: Task>(args: Value, kwargs: Value) -> Result<Value, TaskError> {
    let (Value::Array(args), Value::Object(kwargs)) = (args, kwargs) else {
        panic!("a list and an object")
    };
    let task = registered::<T>();
    let message =
        TaskMessage { id: "an-id".to_owned(), task: T::NAME.to_owned(), ..TaskMessage::default() };
    let context = Context::new(app(), message, "worker@host");
    let bound = Bound::bind(T::NAME, task.parameters, args, kwargs).unwrap();
    match task.body {
        Body::Async(body) => body(context, bound).await,
        Body::Blocking(body) => body(context, bound),
        Body::Own(_) => panic!("a task of Celery's own"),
    }
}

async fn failure<T: Task>(args: Value) -> Failure {
    match run::<T>(args, json!({})).await {
        Err(TaskError::Failed(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_function_stays_a_function() {
    assert_eq!(add(2, 2), 4);
    tick().await;
    let db = Database(Arc::from("test"));
    assert_eq!(send_welcome_email(1, db, None, "de".to_owned()).await.unwrap(), "1 test None de");
    assert_eq!(r#async::r#loop(), "never");
}

#[test]
fn a_task_is_named_for_its_module_and_function() {
    assert_eq!(Add::NAME, "it.macros.tasks.add");
    assert_eq!(r#async::Loop::NAME, "it.macros.tasks.async.loop");
    assert_eq!(SendWelcomeEmail::NAME, "proj.mail.welcome");
    assert_eq!(Resize::NAME, "proj.tasks.resize");
    assert_eq!(registered::<Add>().module, "it::macros::tasks");
}

#[test]
fn options_are_set_on_a_const() {
    const OPTIONS: celery_core::options::Options = SendWelcomeEmail::OPTIONS;
    assert_eq!(OPTIONS.max_retries, Some(5));
    assert_eq!(OPTIONS.acks_late, Some(true));
    assert_eq!(OPTIONS.retry_backoff, 1);
    assert_eq!(OPTIONS.queue, Some("mail"));
    let matches = |types: &[ErrorType], error: &(dyn std::error::Error + 'static)| {
        types.iter().any(|ty| ty.matches(error))
    };
    assert!(matches(OPTIONS.autoretry_for, &MailError));
    assert!(matches(OPTIONS.autoretry_for, &std::io::Error::other("x")));
    assert!(!matches(OPTIONS.autoretry_for, &std::fmt::Error));
    assert!(matches(OPTIONS.dont_autoretry_for, &std::fmt::Error));
    assert_eq!(registered::<Describe>().options.time_limit, Some(Duration::from_secs(90)));
    assert_eq!(OfOneApp::OPTIONS.ignore_result, Some(true));
    assert_eq!(Resize::OPTIONS.priority, Some(3));
}

#[test]
fn parameters_are_what_callers_give() {
    let required = Parameter::required;
    let optional = Parameter::optional;
    assert_eq!(Add::PARAMETERS, [required("x"), required("y")]);
    assert_eq!(
        SendWelcomeEmail::PARAMETERS,
        [required("user_id"), optional("subject"), optional("language")]
    );
    assert_eq!(Describe::PARAMETERS, [optional("items")]);
    assert_eq!(Parse::PARAMETERS, [required("type"), required("text")]);
    assert_eq!(Resize::PARAMETERS, [required("path"), required("width"), optional("height")]);
    assert_eq!(Tick::PARAMETERS, []);
}

#[test]
fn a_remote_task_is_not_registered() {
    let app = app();
    let registry = app.registry().unwrap();
    assert!(registry.get(Resize::NAME).is_none());
    assert!(registry.get(Add::NAME).is_some());
}

#[test]
fn a_task_of_one_app_is_registered_and_called_there_alone() {
    assert!(app().registry().unwrap().get(OfOneApp::NAME).is_none());
    assert!(tasks::app().registry().unwrap().get(OfOneApp::NAME).is_some());
    assert_eq!(OfOneApp::app().unwrap().name(), "its-own");
    assert!(Add::app().is_none());
}

#[tokio::test]
async fn a_body_takes_its_arguments_and_returns_a_value() {
    assert_eq!(run::<Add>(json!([2]), json!({"y": 3})).await.unwrap(), json!(5));
    assert_eq!(run::<Tick>(json!([]), json!({})).await.unwrap(), json!(null));
    assert_eq!(run::<CountsItsWords>(json!(["a b c"]), json!({})).await.unwrap(), json!(3));
    assert_eq!(
        run::<Search>(json!([{"a": [1.5]}]), json!({})).await.unwrap(),
        json!({"hits": ["a"]})
    );
    assert_eq!(
        run::<Parse>(json!([]), json!({"type": "int", "text": "7"})).await.unwrap(),
        json!(7)
    );
}

#[tokio::test]
async fn what_may_be_left_out_has_its_default_and_state_comes_from_the_app() {
    let run = async |args, kwargs| run::<SendWelcomeEmail>(args, kwargs).await.unwrap();
    assert_eq!(run(json!([1]), json!({})).await, json!("1 db None en"));
    assert_eq!(
        run(json!([1, "hi"]), json!({"language": "fr"})).await,
        json!("1 db Some(\"hi\") fr")
    );
    assert_eq!(run(json!([1, null]), json!({})).await, json!("1 db None en"));
}

#[tokio::test]
async fn a_bound_task_has_its_context() {
    assert_eq!(
        run::<Describe>(json!([]), json!({})).await.unwrap(),
        json!({"id": "an-id", "items": [2, 1]})
    );
    assert!(matches!(run::<Describe>(json!([[]]), json!({})).await, Err(TaskError::Retry(_))));
    assert!(matches!(run::<Describe>(json!([[0]]), json!({})).await, Err(TaskError::Ignore)));
}

#[tokio::test]
async fn an_error_keeps_its_type_and_its_place() {
    let failed = failure::<SendWelcomeEmail>(json!([0])).await;
    assert_eq!(failed.exception.exc_type, "MailError");
    assert_eq!(failed.exception.exc_module, "it.macros.tasks");
    assert_eq!(failed.exception.message(), "the mail server is away");
    let expected = format!("tests/it/macros/tasks.rs:{LINE_OF_SEND_WELCOME_EMAIL}");
    assert_eq!(failed.location, Some(expected));
    assert!(failed.error().unwrap().is::<MailError>());

    let failed = failure::<Parse>(json!(["int", "x"])).await;
    assert_eq!(failed.exception.exc_type, "ParseIntError");
    assert!(failed.location.unwrap().starts_with("tests/it/macros/tasks.rs:"));

    let failed = failure::<ReadConfig>(json!(["/nowhere/at/all"])).await;
    assert_eq!(failed.exception.exc_module, "std.io.error");
}

#[tokio::test]
async fn an_argument_of_another_type_is_pythons_type_error() {
    let failed = failure::<Add>(json!(["a", 1])).await;
    assert_eq!(
        (failed.exception.exc_type.as_str(), failed.exception.exc_module.as_str()),
        ("TypeError", "builtins")
    );
    assert!(
        failed.exception.message().contains("() argument 'x': invalid type: string \"a\""),
        "{}",
        failed.exception
    );
}

#[tokio::test]
async fn a_result_that_cannot_be_serialized_is_kombus_encode_error() {
    let failed = failure::<ByList>(json!([])).await;
    assert_eq!(failed.exception.exc_type, "EncodeError");
    assert_eq!(failed.exception.exc_module, "kombu.exceptions");
}

#[tokio::test]
async fn state_that_the_app_lacks_is_named_with_the_remedy() {
    let message = TaskMessage { id: "an-id".to_owned(), ..TaskMessage::default() };
    let context = Context::new(tasks::app(), message, "worker@host");
    let task = registered::<SendWelcomeEmail>();
    let bound = Bound::bind("f", task.parameters, vec![json!(1)], Map::new()).unwrap();
    let Body::Async(body) = task.body else { panic!("an async fn") };
    let Err(TaskError::Failed(failed)) = body(context, bound).await else { panic!("no failure") };
    assert_eq!(failed.exception.exc_type, "MissingState");
    assert!(failed.exception.message().contains("add `.state(…)`"), "{}", failed.exception);
}

#[test]
fn a_worker_whose_tasks_lack_a_state_does_not_start_and_names_them_all() {
    let app = Celery::builder("stateless").broker("memory://stateless").build().unwrap();
    let error = Worker::new(&app, WorkerOptions::default()).unwrap_err().to_string();
    let (remedy, list) = error.split_once('\n').unwrap();
    assert!(remedy.contains("add `.state(…)`"), "{error}");
    let listed: Vec<_> = list.lines().collect();
    assert!(listed.contains(&"- `proj.mail.welcome` takes `it::macros::tasks::Database`"));
    assert!(listed.contains(&"- `it.tasks.soft` takes `it::harness::probe::Probe`"));
    assert!(!error.contains("it.tasks.add"), "{error}");
    let app = tasks::app();
    let error = Worker::new(&app, WorkerOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("proj.mail.welcome"),
        "a task of the program, whatever the app: {error}"
    );
}

#[test]
fn signatures_hold_the_arguments_in_order() {
    let args = |spec: Result<celery_core::signature::Spec, celery::Error>| {
        spec.unwrap().to_value()["args"].clone()
    };
    assert_eq!(args(Add::s(1, 2).into_spec()), json!([1, 2]));
    assert_eq!(args(Add::partial(2).into_spec()), json!([2]));
    assert_eq!(args(Resize::s("a".to_owned(), 1, None).into_spec()), json!(["a", 1, null]));
    assert!(Add::si(1, 2).into_spec().unwrap().immutable);
    assert!(!Add::partial(2).into_spec().unwrap().immutable);
    let state_is_no_argument = SendWelcomeEmail::s(1, None, "en".to_owned());
    assert_eq!(args(state_is_no_argument.into_spec()), json!([1, null, "en"]));
}

#[test]
fn a_call_can_be_sent_to_another_thread_whatever_its_arguments() {
    fn assert_send(_: impl Future + Send) {}
    assert_send(Add::delay(1, 2));
    assert_send(Resize::delay("a".to_owned(), 1, Some(2)));
}
