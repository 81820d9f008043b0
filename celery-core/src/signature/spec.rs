//! A signature as data.

use std::{borrow::Cow, fmt};

use serde_json::json;

use super::{CallOptions, Kind};
use crate::{
    arguments::{self, Parameter},
    options::Options,
    registry::linked,
    repr,
    value::{Map, Value},
};

/// A signature as data: what crosses the wire in callbacks, chains and chords.
#[derive(Clone)]
pub struct Spec {
    /// The name of the task.
    pub task: String,
    /// The positional arguments.
    pub args: Vec<Value>,
    /// The keyword arguments.
    pub kwargs: Map,
    /// The options of the call.
    pub options: CallOptions,
    /// Whether it is one task, or a workflow of several.
    pub kind: Kind,
    /// Whether results are put in front of the arguments.
    pub immutable: bool,
    /// The options of the task, where this program has it. They do not cross the wire.
    pub task_options: Option<Options>,
    /// The parameters of the task, where this program has its types. They do not cross the wire.
    pub task_parameters: Option<&'static [Parameter]>,
}

impl Spec {
    /// A signature with no options.
    pub fn new(task: impl Into<String>, args: Vec<Value>, kwargs: Map) -> Self {
        Self {
            task: task.into(),
            args,
            kwargs,
            options: CallOptions::default(),
            kind: Kind::Task,
            immutable: false,
            task_options: None,
            task_parameters: None,
        }
    }

    /// Celery's form of it: six keys, in this order.
    pub fn to_value(&self) -> Value {
        json!({
            "task": self.task,
            "args": self.args,
            "kwargs": self.kind.with_members(&self.kwargs),
            "options": self.options.to_map(),
            "subtask_type": self.kind.name(),
            "immutable": self.immutable,
        })
    }

    /// Reads Celery's form. Only the name of the task must be there.
    ///
    /// # Errors
    /// [`BadSignature`] says what is wrong.
    pub fn from_value(value: Value) -> Result<Self, BadSignature> {
        let Value::Object(mut map) = value else {
            return Err(BadSignature::new("it is not an object"));
        };
        let mut take = |key: &str| map.shift_remove(key).unwrap_or_default();
        let Value::String(task) = take("task") else {
            return Err(BadSignature::new("it has no `task`"));
        };
        let mut spec = Self::new(task, Vec::new(), Map::new());
        match take("args") {
            Value::Array(args) => spec.args = args,
            Value::Null => {}
            _ => return Err(BadSignature::new("its `args` are not a list")),
        }
        match take("kwargs") {
            Value::Object(kwargs) => spec.kwargs = kwargs,
            Value::Null => {}
            _ => return Err(BadSignature::new("its `kwargs` are not an object")),
        }
        match take("options") {
            Value::Object(options) => spec.options = CallOptions::from_map(options)?,
            Value::Null => {}
            _ => return Err(BadSignature::new("its `options` are not an object")),
        }
        spec.kind = Kind::take(take("subtask_type").as_str(), &mut spec.kwargs)?;
        spec.immutable = take("immutable").as_bool().unwrap_or(false);
        Ok(spec)
    }

    /// Writes down where the task's own options send it, for whoever sends it in our place: a worker that does not have
    /// the task, such as one in Python, would send it to its own default queue.
    pub(crate) fn carry_routing(&mut self, own: &Options) {
        let carry = |called: &mut Option<String>, own: Option<&str>| {
            if called.is_none() {
                *called = own.map(str::to_owned);
            }
        };
        carry(&mut self.options.queue, own.queue);
        carry(&mut self.options.exchange, own.exchange);
        carry(&mut self.options.routing_key, own.routing_key);
        self.options.priority = self.options.priority.or(own.priority.map(i64::from));
    }

    /// The parameters of the task as far as this program knows it.
    pub(crate) fn parameters(&self) -> &'static [Parameter] {
        let linked = || Some(linked(&self.task)?.parameters_of(&self.args, &self.kwargs));
        self.task_parameters.or_else(linked).unwrap_or_default()
    }

    /// Writes down what is shown of the arguments, for whoever sends it in our place: a worker that does not have the task
    /// does not know which of them are not to be shown.
    pub(crate) fn carry_redaction(&mut self, limits: &repr::Limits) {
        let parameters = self.parameters();
        if parameters.iter().all(|parameter| !parameter.redacted) {
            return;
        }
        // What comes in front of the arguments is not known yet.
        let own = if self.immutable { parameters } else { &parameters[1..] };
        let (args, kwargs) = match own.iter().any(|parameter| parameter.redacted) {
            true => arguments::shown(own, &self.args, &self.kwargs),
            false => (self.args.as_slice().into(), Cow::Borrowed(&self.kwargs)),
        };
        let shown = repr::args(&args, limits);
        let shown = if self.immutable { shown } else { format!("(..., {}", &shown[1..]) };
        self.options.argsrepr.get_or_insert(shown);
        self.options.kwargsrepr.get_or_insert_with(|| repr::kwargs(&kwargs, limits));
    }

    /// The call with a result in front of its arguments, unless it is immutable.
    pub fn with_result(mut self, result: Value) -> Self {
        if !self.immutable {
            self.args.insert(0, result);
        }
        self
    }
}

impl fmt::Debug for Spec {
    /// With `***` for the arguments of `#[redact]` parameters of tasks that are in this program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.parameters();
        let (mut args, kwargs) = arguments::shown(parameters, &self.args, &self.kwargs);
        if !self.immutable && self.args.len() < parameters.len() {
            // A result may be to come in front of them.
            let (shifted, _) = arguments::shown(&parameters[1..], &args, &self.kwargs);
            args = shifted.into_owned().into();
        }
        f.debug_struct("Spec")
            .field("task", &self.task)
            .field("args", &args)
            .field("kwargs", &kwargs)
            .field("options", &self.options)
            .field("kind", &self.kind)
            .field("immutable", &self.immutable)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Spec {
    /// Equal when equal on the wire.
    fn eq(&self, other: &Self) -> bool {
        self.to_value() == other.to_value()
    }
}

/// A value that is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signature: {0}")]
pub struct BadSignature(String);

impl BadSignature {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_survives_its_wire_form() {
        let value = json!({
            "task": "proj.add", "args": [2], "kwargs": {"y": 3},
            "options": {"task_id": "a", "countdown": 10, "queue": "slow", "link": [
                {"task": "proj.mul", "args": [], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": true}
            ], "x-unknown": 1},
            "subtask_type": null, "immutable": false,
        });
        let spec = Spec::from_value(value.clone()).unwrap();
        assert_eq!(spec.to_value(), value);
        assert!(spec.options.link[0].immutable);
    }

    #[test]
    fn a_callback_tells_where_its_task_is_sent() {
        let own = Options::new().queue("images").priority(3);
        let mut spec = Spec::new("proj.resize", Vec::new(), Map::new());
        spec.options.priority = Some(6);
        spec.carry_routing(&own);
        assert_eq!(spec.to_value()["options"], json!({ "queue": "images", "priority": 6 }));
    }

    #[test]
    fn what_is_no_signature_is_refused_with_the_reason() {
        let check = |value: Value, expected: &str| {
            assert_eq!(
                Spec::from_value(value).unwrap_err().to_string(),
                format!("not a signature: {expected}")
            );
        };
        check(json!(3), "it is not an object");
        check(json!({"args": []}), "it has no `task`");
        check(json!({"task": "a", "args": 1}), "its `args` are not a list");
        check(json!({"task": "a", "options": {"queue": 3}}), "option `queue` cannot be 3");
    }
}
