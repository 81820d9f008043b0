//! A file of tasks that uses every feature of the macros.

use std::{
    collections::HashMap,
    fmt, io,
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use celery::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the app keeps for its tasks.
#[derive(Clone, Debug)]
pub(crate) struct Database(pub(crate) Arc<str>);

/// A result of its own type, whose name ends as those of fallible tasks do.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SearchResult {
    pub(super) hits: Vec<PathBuf>,
}

/// An error of the task's own.
#[derive(Debug)]
pub(super) struct MailError;

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mail server is away")
    }
}

impl std::error::Error for MailError {}

/// Adds two numbers.
///
/// A task of the simplest kind.
#[shared_task]
pub(super) fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[shared_task]
pub(super) async fn tick() {}

#[shared_task(name = "proj.mail.welcome", autoretry_for = [MailError, io::Error], dont_autoretry_for = [fmt::Error], max_retries = 5, acks_late, retry_backoff = true, queue = "mail")]
pub(super) async fn send_welcome_email(
    user_id: i64,
    #[state] db: Database,
    subject: Option<String>,
    #[default = "en".to_owned()] language: String,
) -> Result<String, MailError> {
    if user_id == 0 {
        return Err(MailError);
    }
    Ok(format!("{user_id} {} {subject:?} {language}", db.0))
}

/// The line of the return type of [`send_welcome_email`], where its errors are said to arise.
pub(super) const LINE_OF_SEND_WELCOME_EMAIL: u32 = line!() - 8;

#[shared_task(bind, soft_time_limit = 60, time_limit = 90)]
pub(super) async fn describe(
    task: &Context,
    #[default = vec![1, 2]] mut items: Vec<u8>,
) -> Result<Value, TaskError> {
    items.reverse();
    match items.as_slice() {
        [] => Err(task.retry().countdown(30).into()),
        [0] => Err(Ignore.into()),
        _ => Ok(json!({ "id": task.id(), "items": items })),
    }
}

#[shared_task(bind)]
pub(super) fn parse(_task: &Context, r#type: String, text: String) -> Result<i64, TaskError> {
    assert_eq!(r#type, "int");
    Ok(text.parse::<i64>()?)
}

#[shared_task]
pub(super) fn read_config(path: PathBuf) -> io::Result<String> {
    std::fs::read_to_string(path)
}

#[shared_task]
pub(super) fn search(words: HashMap<String, Vec<f64>>) -> SearchResult {
    SearchResult { hits: words.into_keys().map(PathBuf::from).collect() }
}

#[shared_task]
pub(super) fn by_list() -> HashMap<Vec<u8>, u8> {
    HashMap::from([(vec![1], 1)])
}

/// What a task borrows is its own affair: its future is only awaited where it can be sent to other threads.
#[shared_task]
pub(super) async fn counts_its_words(text: String) -> usize {
    let words: Vec<&str> = text.split(' ').collect();
    tokio::task::yield_now().await;
    words.len()
}

pub(super) fn app() -> Celery {
    static APP: LazyLock<Celery> = LazyLock::new(|| {
        Celery::builder("its-own")
            .broker("memory://its-own")
            .build()
            .expect("settings that are right")
    });
    APP.clone()
}

#[task(app = app, ignore_result)]
pub(super) fn of_one_app() {}

#[remote_task(name = "proj.tasks.resize", queue = "images", priority = 3)]
pub(super) async fn resize(path: String, width: u32, height: Option<u32>) -> String;

#[cfg(any())]
#[shared_task]
pub(super) fn never_compiled(x: Missing) {}

#[shared_task]
#[cfg(any())]
pub(super) fn never_compiled_either(x: Missing) {}

pub(super) mod r#async {
    //! A module whose name is a raw identifier, which Python would not know.

    use celery::shared_task;

    #[shared_task]
    pub(in super::super) fn r#loop() -> String {
        "never".to_owned()
    }
}
