//! A task, as its events tell of it.

use std::{collections::HashSet, sync::Arc};

use crate::{
    events::Event,
    state,
    value::{Map, Value},
};

/// What a task's `task-received` adds when it comes late: nothing else of it is news.
const RECEIVED: [&str; 8] =
    ["name", "args", "kwargs", "parent_id", "root_id", "retries", "eta", "expires"];

/// What is shown of a task.
const INFO: [&str; 12] = [
    "args",
    "kwargs",
    "retries",
    "result",
    "eta",
    "runtime",
    "expires",
    "exception",
    "exchange",
    "routing_key",
    "root_id",
    "parent_id",
];

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    pub(super) uuid: Arc<str>,
    /// Which of the tasks of that id, one after the other.
    pub(super) number: u64,
    pub(super) worker: Option<String>,
    pub(super) client: Option<String>,
    /// Of tasks that are known, or were.
    pub(super) children: HashSet<(Arc<str>, u64)>,
    state: String,
    fields: Map,
}

impl Task {
    pub(super) fn new(uuid: &str, number: u64) -> Self {
        Self {
            uuid: uuid.into(),
            number,
            worker: None,
            client: None,
            children: HashSet::new(),
            state: "PENDING".to_owned(),
            fields: Map::new(),
        }
    }

    /// The id.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// The state, such as `STARTED`. Events of a program's own have states of their own: `task-progress` is `PROGRESS`.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Whether it is done: `SUCCESS`, `FAILURE` or `REVOKED`.
    pub fn is_ready(&self) -> bool {
        state::State::from(self.state.as_str()).is_ready()
    }

    /// What its events said under that name: their fields, and the time of each kind of event, such as `received`,
    /// `started`, `succeeded`.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_str()
    }

    /// The name.
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// The positional arguments, as they are shown.
    pub fn args(&self) -> Option<&str> {
        self.text("args")
    }

    /// The keyword arguments, as they are shown.
    pub fn kwargs(&self) -> Option<&str> {
        self.text("kwargs")
    }

    /// What it returned, as it is shown.
    pub fn result(&self) -> Option<&str> {
        self.text("result")
    }

    /// What it failed with, as it is shown.
    pub fn exception(&self) -> Option<&str> {
        self.text("exception")
    }

    /// How long it ran, in seconds.
    pub fn runtime(&self) -> Option<f64> {
        self.get("runtime")?.as_f64()
    }

    /// The task that called it.
    pub fn parent_id(&self) -> Option<&str> {
        self.text("parent_id").filter(|id| !id.is_empty())
    }

    /// The first of the tasks that led to it.
    pub fn root_id(&self) -> Option<&str> {
        self.text("root_id")
    }

    /// The node name of the worker that last told of it.
    pub fn worker(&self) -> Option<&str> {
        self.worker.as_deref()
    }

    /// The node name of the client that sent it, where it told so.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The Unix time of the event that its state is from.
    pub fn timestamp(&self) -> Option<f64> {
        self.get("timestamp")?.as_f64()
    }

    /// What is known of it and worth showing.
    pub fn info(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        INFO.into_iter().filter_map(|field| Some((field, self.get(field)?)))
    }

    pub(super) fn event(&mut self, subject: &str, event: &Event) {
        let state = match subject {
            "sent" => "PENDING",
            "received" => "RECEIVED",
            "started" => "STARTED",
            "failed" => "FAILURE",
            "retried" => "RETRY",
            "succeeded" => "SUCCESS",
            "revoked" => "REVOKED",
            "rejected" => "REJECTED",
            _ => "",
        };
        let timestamp = event.get("timestamp").cloned().unwrap_or_default();
        let own = subject.to_uppercase();
        let state = if state.is_empty() {
            own.as_str()
        } else {
            self.fields.insert(subject.to_owned(), timestamp.clone());
            state
        };
        // A retry begins anew, so that nothing is before or after it.
        let is_late = state != "RETRY"
            && self.state != "RETRY"
            && precedence(state) > precedence(&self.state);
        let only_some = is_late && state == "RECEIVED";
        for (name, value) in &event.fields {
            if !only_some || RECEIVED.contains(&name.as_str()) {
                self.fields.insert(name.clone(), value.clone());
            }
        }
        if !is_late {
            self.state = state.to_owned();
            self.fields.insert("timestamp".to_owned(), timestamp);
        }
    }
}

/// The place of a state among those of a task: 0 is that which holds against all others.
fn precedence(state: &str) -> u8 {
    match state {
        "SUCCESS" => 0,
        "FAILURE" => 1,
        "REVOKED" => 3,
        "STARTED" => 4,
        "RECEIVED" => 5,
        "REJECTED" => 6,
        "RETRY" => 7,
        "PENDING" => 8,
        // A state of a program's own.
        _ => 2,
    }
}
