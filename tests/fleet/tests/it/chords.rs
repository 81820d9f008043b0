//! Chords, and workers as processes that share them.

mod cost;
mod lost;
mod mixed;
mod prefork;
mod shown;

use celery::{
    Celery,
    core::{
        backend::{Callback, Joined, NewJoin, Part},
        state::TaskMeta,
        tree::ResultTree,
    },
};
use serde_json::json;

/// Makes a chord known that has these parts.
async fn begin(app: &Celery, group_id: &str, members: &[&str]) {
    let members: Vec<_> = members.iter().copied().map(ResultTree::task).collect();
    let size = members.len() as u64;
    let header = ResultTree::group(group_id, members);
    let join = NewJoin { group_id: group_id.to_owned(), size, header, nests: false };
    let backend = app.backend().await.expect("Redis answers");
    backend.joins().expect("it counts").begin(&[join]).await.expect("it begins");
}

/// Counts a part of it.
async fn count(app: &Celery, group_id: &str, index: i64, meta: &TaskMeta) -> Option<Joined> {
    let body = json!({ "task": "proj.tasks.xsum", "args": ["secret"], "kwargs": {}, "options": { "task_id": "the-body" } });
    let callback = Callback { body, ..Callback::default() };
    let part = Part { group_id, index: Some(index), meta, stores: true, callback: &callback };
    let backend = app.backend().await.expect("Redis answers");
    backend.joins().expect("it counts").count(part).await.expect("it is counted")
}
