//! Signatures of tasks that are known by name only.

use serde::Serialize;

use super::{Draft, Signature, Spec, Untyped};
use crate::{
    error::Error,
    result::AsyncResult,
    value::{Map, Value, to_value},
};

impl Signature<Untyped, Value> {
    /// The signature of a task that is known by name only, such as one of a Python worker.
    pub fn named(task: impl Into<String>) -> Self {
        Spec::new(task, Vec::new(), Map::new()).into()
    }

    /// Sets the positional arguments: a tuple, or anything that serializes to a list.
    pub fn args(mut self, args: impl Serialize) -> Self {
        match to_value(&args) {
            Ok(Value::Array(args)) => self.draft.spec.args = args,
            Ok(Value::Null) => self.draft.spec.args = Vec::new(),
            Ok(_) => self.draft.fail(Error::Call(
                "positional arguments are a tuple or a list: `.args((1, 2))`".into(),
            )),
            Err(error) => self.draft.fail(error),
        }
        self
    }

    /// Sets the keyword arguments: a struct, a map, or anything that serializes to an object.
    pub fn kwargs(mut self, kwargs: impl Serialize) -> Self {
        match to_value(&kwargs) {
            Ok(Value::Object(kwargs)) => self.draft.spec.kwargs = kwargs,
            Ok(_) => self.draft.fail(Error::Call(
                "keyword arguments are a struct or a map: `.kwargs(json!({\"y\": 2}))`".into(),
            )),
            Err(error) => self.draft.fail(error),
        }
        self
    }

    /// Sends it: another word for [`apply_async`](Self::apply_async).
    ///
    /// # Errors
    /// As for `apply_async`.
    pub async fn send(self) -> Result<AsyncResult<Value>, Error> {
        self.apply_async().await
    }
}

impl From<Spec> for Signature<Untyped, Value> {
    fn from(spec: Spec) -> Self {
        Draft::new(spec).into()
    }
}
