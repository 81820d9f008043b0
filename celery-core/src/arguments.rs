//! Binding of arguments to parameters, by Python's rules and with Python's complaints.

mod redact;

use std::fmt;

use serde::de::DeserializeOwned;

pub(crate) use self::redact::{Hidden, shown};

use crate::value::{Map, Value, from_value};

/// A parameter of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether its values are shown nowhere.
    pub redacted: bool,
}

impl Parameter {
    /// A parameter that must be given.
    pub const fn required(name: &'static str) -> Self {
        Self { name, optional: false, redacted: false }
    }

    /// A parameter that may be left out.
    pub const fn optional(name: &'static str) -> Self {
        Self { name, optional: true, redacted: false }
    }

    /// The same, with values that are shown nowhere: `#[redact]`.
    pub const fn redacted(self) -> Self {
        Self { redacted: true, ..self }
    }
}

/// Arguments that have been bound: one value a parameter, `None` where it was left out.
pub struct Bound {
    function: &'static str,
    parameters: &'static [Parameter],
    values: Vec<Option<Value>>,
}

impl Bound {
    /// Binds positional and keyword arguments to the parameters of the function.
    ///
    /// # Errors
    /// [`ArgumentError`], with what Python would say in its `TypeError`.
    pub fn bind(
        function: &'static str,
        parameters: &'static [Parameter],
        args: Vec<Value>,
        kwargs: Map,
    ) -> Result<Self, ArgumentError> {
        let fail = |message: String| Err(ArgumentError(format!("{function}() {message}")));
        let given = args.len();
        if given > parameters.len() {
            return fail(too_many(parameters, given));
        }
        let mut values: Vec<Option<Value>> = args.into_iter().map(Some).collect();
        values.resize_with(parameters.len(), || None);
        for (name, value) in kwargs {
            match parameters.iter().position(|parameter| parameter.name == name) {
                None => return fail(format!("got an unexpected keyword argument '{name}'")),
                Some(index) if values[index].is_some() => {
                    return fail(format!("got multiple values for argument '{name}'"));
                }
                Some(index) => values[index] = Some(value),
            }
        }
        let missing: Vec<_> = std::iter::zip(parameters, &values)
            .filter(|(parameter, value)| value.is_none() && !parameter.optional)
            .map(|(parameter, _)| format!("'{}'", parameter.name))
            .collect();
        if !missing.is_empty() {
            let s = if missing.len() == 1 { "" } else { "s" };
            return fail(format!(
                "missing {} required positional argument{s}: {}",
                missing.len(),
                listed(&missing)
            ));
        }
        Ok(Self { function, parameters, values })
    }

    /// The argument of the parameter at `index`, as a `T`.
    ///
    /// # Errors
    /// [`ArgumentError`] when it is no `T`, or was left out.
    pub fn take<T: DeserializeOwned>(&mut self, index: usize) -> Result<T, ArgumentError> {
        // `None` reads into an `Option`, and into nothing else that a parameter may be.
        let value = self.values[index].take().unwrap_or_default();
        self.read(index, value)
    }

    /// The argument of the parameter at `index`, or `default` where it was left out.
    ///
    /// # Errors
    /// [`ArgumentError`] when it is no `T`.
    pub fn take_or<T: DeserializeOwned>(
        &mut self,
        index: usize,
        default: impl FnOnce() -> T,
    ) -> Result<T, ArgumentError> {
        match self.values[index].take() {
            Some(value) => self.read(index, value),
            None => Ok(default()),
        }
    }

    fn read<T: DeserializeOwned>(&self, index: usize, value: Value) -> Result<T, ArgumentError> {
        from_value(value).map_err(|error| {
            let Parameter { name, redacted, .. } = self.parameters[index];
            let why = if redacted {
                "it is of another type, and redacted, so that no more can be said".to_owned()
            } else {
                error.to_string()
            };
            ArgumentError(format!("{}() argument '{name}': {why}", self.function))
        })
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("function", &self.function)
            .field("values", &Hidden(self.values.len()))
            .finish_non_exhaustive()
    }
}

/// Arguments that do not fit the parameters: Python's `TypeError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArgumentError(String);

fn too_many(parameters: &[Parameter], given: usize) -> String {
    let most = parameters.len();
    let least = parameters.iter().filter(|parameter| !parameter.optional).count();
    let takes = if least == most { most.to_string() } else { format!("from {least} to {most}") };
    let s = if most == 1 && least == most { "" } else { "s" };
    let were = if given == 1 { "was" } else { "were" };
    format!("takes {takes} positional argument{s} but {given} {were} given")
}

/// `'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first, second] => format!("{first} and {second}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ADD: &[Parameter] = &[Parameter::required("x"), Parameter::required("y")];
    const GREET: &[Parameter] = &[Parameter::required("name"), Parameter::optional("greeting")];

    fn check(parameters: &'static [Parameter], args: Value, kwargs: Value, expected: &str) {
        let (Value::Array(args), Value::Object(kwargs)) = (args, kwargs) else {
            panic!("a list and an object")
        };
        let found = match Bound::bind("f", parameters, args, kwargs) {
            Ok(bound) => serde_json::to_string(&bound.values).unwrap(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn arguments_are_taken_by_position_and_by_name() {
        check(ADD, json!([1, 2]), json!({}), "[1,2]");
        check(ADD, json!([1]), json!({"y": 2}), "[1,2]");
        check(ADD, json!([]), json!({"y": 2, "x": 1}), "[1,2]");
        check(GREET, json!(["Ada"]), json!({}), r#"["Ada",null]"#);
    }

    #[test]
    fn what_does_not_fit_is_refused_in_pythons_words() {
        check(ADD, json!([1]), json!({}), "f() missing 1 required positional argument: 'y'");
        check(
            ADD,
            json!([]),
            json!({}),
            "f() missing 2 required positional arguments: 'x' and 'y'",
        );
        check(
            ADD,
            json!([1, 2, 3]),
            json!({}),
            "f() takes 2 positional arguments but 3 were given",
        );
        check(ADD, json!([1, 2]), json!({"z": 1}), "f() got an unexpected keyword argument 'z'");
        check(ADD, json!([1]), json!({"x": 1}), "f() got multiple values for argument 'x'");
        check(
            GREET,
            json!([1, 2, 3]),
            json!({}),
            "f() takes from 1 to 2 positional arguments but 3 were given",
        );
        check(&[], json!([1]), json!({}), "f() takes 0 positional arguments but 1 was given");
    }

    #[test]
    fn an_argument_of_another_type_is_named() {
        let mut bound = Bound::bind("add", ADD, vec![json!("a"), json!(2)], Map::new()).unwrap();
        let error = bound.take::<i64>(0).unwrap_err().to_string();
        assert!(error.starts_with("add() argument 'x': invalid type: string \"a\""), "{error}");
        assert_eq!(bound.take::<i64>(1), Ok(2));
    }
}
