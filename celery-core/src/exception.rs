//! A failure as it crosses the wire: what Python would call the exception.

use std::{any::type_name, error::Error, fmt};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    repr,
    value::{Map, Value},
};

/// The type, module and arguments of what a task failed with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exception {
    /// The name of the error's type, such as `ValueError`.
    pub exc_type: String,
    /// The module that the type is in, dotted.
    pub exc_module: String,
    /// The arguments of the exception: usually one, its message.
    pub exc_message: Vec<Value>,
}

impl Exception {
    /// An exception of the type and module, with one message.
    pub fn new(
        exc_type: impl Into<String>,
        exc_module: impl Into<String>,
        message: impl Into<Value>,
    ) -> Self {
        Self {
            exc_type: exc_type.into(),
            exc_module: exc_module.into(),
            exc_message: vec![message.into()],
        }
    }

    /// What a Rust error is on the wire: the name and module of its type, and its message with those of its sources.
    pub fn from_error<E: Error>(error: &E) -> Self {
        let (module, name) = split_type_name(type_name::<E>());
        Self::new(name, module, with_sources(error))
    }

    /// The form in which results hold it.
    pub fn to_value(&self) -> Value {
        json!({ "exc_type": self.exc_type, "exc_message": self.exc_message, "exc_module": self.exc_module })
    }

    /// Reads the form in which results hold it. Whatever is missing is made good, since a failure that we cannot
    /// name is still a failure.
    pub fn from_value(value: &Value) -> Self {
        let text = |map: &Map, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        match value {
            Value::Object(map) => Self {
                exc_type: text(map, "exc_type").unwrap_or_else(|| "Exception".to_owned()),
                exc_module: text(map, "exc_module").unwrap_or_else(|| "builtins".to_owned()),
                exc_message: match map.get("exc_message") {
                    Some(Value::Array(arguments)) => arguments.clone(),
                    None | Some(Value::Null) => Vec::new(),
                    Some(one) => vec![one.clone()],
                },
            },
            other => Self::new("Exception", "builtins", other.clone()),
        }
    }

    /// What Python's `repr` makes of it, such as `KeyError('name')`.
    pub fn repr(&self) -> String {
        let arguments: Vec<_> = self.exc_message.iter().map(repr::python).collect();
        format!("{}({})", self.exc_type, arguments.join(", "))
    }

    /// The message: the first argument's text, or all of them as Python prints them.
    pub fn message(&self) -> String {
        match self.exc_message.as_slice() {
            [] => String::new(),
            [Value::String(message)] => message.clone(),
            [one] => one.to_string(),
            many => Value::Array(many.to_vec()).to_string(),
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.exc_type)?;
        match self.message() {
            message if message.is_empty() => Ok(()),
            message => write!(f, ": {message}"),
        }
    }
}

/// `a::b::C<d::E>` is `C` in module `a.b`, as Python would have it.
fn split_type_name(path: &str) -> (String, &str) {
    let bare = path.split('<').next().unwrap_or(path);
    match bare.rsplit_once("::") {
        Some((module, name)) => (module.replace("::", "."), name),
        None => ("builtins".to_owned(), bare),
    }
}

/// An error with what it was caused by, in one line.
pub fn with_sources(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Many errors print their source themselves.
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_named_as_python_would_name_it() {
        let error = "x".parse::<i32>().unwrap_err();
        let exception = Exception::from_error(&error);
        assert_eq!(exception.exc_type, "ParseIntError");
        assert_eq!(exception.exc_module, "core.num.error");
        assert_eq!(exception.exc_message, [json!("invalid digit found in string")]);
        assert_eq!(Exception::from_value(&exception.to_value()), exception);
    }

    #[test]
    fn a_message_that_is_no_list_is_its_only_argument() {
        let value =
            json!({ "exc_type": "ValueError", "exc_message": "boom", "exc_module": "builtins" });
        assert_eq!(Exception::from_value(&value).to_string(), "ValueError: boom");
    }

    #[test]
    fn a_repr_is_pythons() {
        let value = json!({ "exc_type": "OutOfCheese", "exc_message": ["it's gone", 42], "exc_module": "shop" });
        assert_eq!(Exception::from_value(&value).repr(), r#"OutOfCheese("it's gone", 42)"#);
        let value = json!({ "exc_type": "Empty", "exc_message": [] });
        assert_eq!(Exception::from_value(&value).repr(), "Empty()");
    }
}
