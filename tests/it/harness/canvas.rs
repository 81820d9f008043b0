//! Signatures in Celery's form, as a client of any language sends them.

#![expect(clippy::needless_pass_by_value, reason = "they are written where they are called")]

use celery::core::{backend::Joins, signature::Spec, tree::ResultTree};
use serde_json::{Value, json};

use super::Circle;

/// A task with these arguments, in front of which it takes a result.
pub(crate) fn sig(task: &str, args: Value) -> Value {
    json!({ "task": task, "args": args })
}

/// The same, which takes no result.
pub(crate) fn si(task: &str, args: Value) -> Value {
    with(sig(task, args), "immutable", json!(true))
}

pub(crate) fn chain(tasks: &[Value]) -> Value {
    json!({ "task": "celery.chain", "subtask_type": "chain", "kwargs": { "tasks": tasks } })
}

pub(crate) fn group(tasks: &[Value]) -> Value {
    json!({ "task": "celery.group", "subtask_type": "group", "kwargs": { "tasks": tasks } })
}

pub(crate) fn chord(header: &[Value], body: Value) -> Value {
    let kwargs = json!({ "header": header, "body": body, "kwargs": {} });
    json!({ "task": "celery.chord", "subtask_type": "chord", "kwargs": kwargs })
}

/// The same signature with an option.
pub(crate) fn set(signature: Value, option: &str, value: Value) -> Value {
    let mut options = signature.get("options").cloned().unwrap_or(json!({}));
    options[option] = value;
    with(signature, "options", options)
}

fn with(mut signature: Value, key: &str, value: Value) -> Value {
    signature[key] = value;
    signature
}

impl Circle {
    /// Sends a signature, and returns the results that there will be.
    pub(crate) async fn apply(&self, signature: Value) -> ResultTree {
        let spec = Spec::from_value(signature).expect("a signature");
        self.app.apply(spec).await.expect("it is sent")
    }

    /// Sends a signature, and waits until its last task is done; what is then stored of that.
    pub(crate) async fn ran(&self, signature: Value) -> Value {
        let result = self.apply(signature).await;
        self.stored(&result.id).await
    }

    /// What is stored of a join that is not finished: how many parts of how many are counted.
    pub(crate) async fn tally(&self, group: &str) -> Option<(u64, Option<u64>)> {
        let joins = self.joins().await;
        let unfinished = joins.look(group).await.expect("the result backend answers");
        unfinished.map(|unfinished| (unfinished.tally.counted, unfinished.tally.size))
    }

    pub(crate) async fn joins(&self) -> &dyn Joins {
        let backend = self.app.backend().await.expect("the result backend is there");
        backend.joins().expect("it counts parts")
    }
}
