//! What the macros' expansions speak to, and nothing else of this crate: `celery::__private`.
//!
//! It is no part of the API. Names may go and change with the macros, which come in the same version.

use serde::{Serialize, de::DeserializeOwned};

pub use inventory;

pub use crate::{
    __celery_task_name as task_name,
    app::Celery,
    arguments::{Bound, Parameter},
    canvas::{
        Group,
        map::{chunks, map, starmap},
    },
    context::{Context, StateType},
    error::Error,
    options::{ErrorType, Options},
    registry::{Body, Registration},
    result::AsyncResult,
    signature::{Arguments, Nothing, Signature, Takes, TakesFailure},
    task::{Task, TaskError},
};
use crate::{
    arguments::ArgumentError,
    exception::Exception,
    registry::AppId,
    task::Failure,
    value::{Value, to_value},
};

/// The name of a task that was given none: `module_path!()` and the function, with dots, as Python would name it.
#[doc(hidden)]
#[macro_export]
macro_rules! __celery_task_name {
    ($function:literal) => {{
        const PATH: &str = ::core::concat!(::core::module_path!(), "::", $function);
        const NAME: [u8; $crate::__private::dotted_len(PATH)] = $crate::__private::dotted(PATH);
        $crate::__private::text(&NAME)
    }};
}

/// The length of the path with dots.
pub const fn dotted_len(path: &str) -> usize {
    let path = path.as_bytes();
    let (mut length, mut at) = (0, 0);
    while at < path.len() {
        at += separator(path, at);
        length += 1;
        at += 1;
    }
    length
}

/// The path with `.` for `::`, and without the mark of raw identifiers.
pub const fn dotted<const N: usize>(path: &str) -> [u8; N] {
    let path = path.as_bytes();
    let mut name = [b'.'; N];
    let (mut length, mut at) = (0, 0);
    while at < path.len() {
        at += separator(path, at);
        if path[at] != b':' {
            name[length] = path[at];
        }
        length += 1;
        at += 1;
    }
    name
}

/// How many bytes to skip at this place: the first of a `::`, or an `r#`.
const fn separator(path: &[u8], at: usize) -> usize {
    let second = if at + 1 < path.len() { path[at + 1] } else { 0 };
    match (path[at], second) {
        (b':', b':') => 1,
        (b'r', b'#') => 2,
        _ => 0,
    }
}

/// The bytes as text.
pub const fn text(name: &[u8]) -> &str {
    match std::str::from_utf8(name) {
        Ok(name) => name,
        Err(_) => panic!("only whole ASCII characters are replaced"),
    }
}

/// The argument of the parameter at that place, as a `T`.
///
/// # Errors
/// Python's `TypeError`, when it is no `T`.
pub fn take<T: DeserializeOwned>(bound: &mut Bound, index: usize) -> Result<T, TaskError> {
    bound.take(index).map_err(|error| type_error(&error).into())
}

/// The argument of the parameter at that place, or its default where it was left out.
///
/// # Errors
/// Python's `TypeError`, when it is no `T`.
pub fn take_or<T: DeserializeOwned>(
    bound: &mut Bound,
    index: usize,
    default: impl FnOnce() -> T,
) -> Result<T, TaskError> {
    bound.take_or(index, default).map_err(|error| type_error(&error).into())
}

/// What Python raises when arguments do not fit the parameters.
pub fn type_error(error: &ArgumentError) -> Failure {
    Failure::new(Exception::new("TypeError", "builtins", error.to_string()))
}

/// What a task returned, as it is stored.
///
/// # Errors
/// kombu's `EncodeError`, as a Python worker has it when a result cannot be serialized.
pub fn returned<T: Serialize + ?Sized>(value: &T) -> Result<Value, TaskError> {
    to_value(value).map_err(|error| {
        Failure::new(Exception::new("EncodeError", "kombu.exceptions", error.to_string())).into()
    })
}

/// How a task ended that returned this error. Its place is where this is called.
#[track_caller]
pub fn failed<E>(error: E) -> TaskError
where
    TaskError: From<E>,
{
    TaskError::from(error)
}

/// The identity of the app that a task is bound to.
pub fn app_id(app: &Celery) -> AppId {
    app.id()
}

/// What kind of type a task returns, which a macro that sees only names cannot tell: for a `Result` behind an alias,
/// the constant of the type itself goes before that of the trait.
#[derive(Debug)]
pub struct Returns<T>(std::marker::PhantomData<T>);

/// An alias of a `Result`.
#[derive(Clone, Copy, Debug)]
pub struct Alias;

impl<T, E> Returns<Result<T, E>> {
    /// An alias.
    pub const KIND: Alias = Alias;
}

/// All other types.
pub trait NoResult {
    /// Itself.
    const KIND: () = ();
}

impl<T> NoResult for Returns<T> {}

/// A type that says what the task returns.
#[diagnostic::on_unimplemented(
    message = "what the task returns is hidden in an alias",
    label = "this is a `Result`",
    note = "write `Result<T, E>` in full"
)]
pub trait InFull {}

impl InFull for () {}

/// Refuses an alias of a `Result`.
pub const fn in_full<T: InFull + Copy>(_: T) {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::value::Map;

    mod r#async {
        pub(super) const NAME: &str = crate::__private::task_name!("add");
    }

    #[test]
    fn a_task_is_named_as_python_would_name_it() {
        assert_eq!(r#async::NAME, "celery_core.macro_support.tests.async.add");
        const PATH: &str = "crate::größe::r#try::for_r";
        const DOTTED: [u8; dotted_len(PATH)] = dotted(PATH);
        assert_eq!(text(&DOTTED), "crate.größe.try.for_r");
    }

    #[test]
    fn an_argument_that_does_not_fit_is_pythons_type_error() {
        const PARAMETERS: &[Parameter] = &[Parameter::required("x"), Parameter::optional("y")];
        let mut bound = Bound::bind("add", PARAMETERS, vec![json!("a")], Map::new()).unwrap();
        let Err(TaskError::Failed(failure)) = take::<i64>(&mut bound, 0) else {
            panic!("no failure")
        };
        assert_eq!(failure.exception.exc_type, "TypeError");
        assert_eq!(failure.exception.exc_module, "builtins");
        assert!(
            failure.exception.message().starts_with("add() argument 'x': "),
            "{}",
            failure.exception
        );
        assert_eq!(take_or(&mut bound, 1, || 7).unwrap(), 7);
    }

    #[test]
    fn a_result_that_cannot_be_serialized_is_kombus_encode_error() {
        let keys_are_lists = std::collections::HashMap::from([(vec![1], 1)]);
        let Err(TaskError::Failed(failure)) = returned(&keys_are_lists) else {
            panic!("no failure")
        };
        assert_eq!(failure.exception.exc_type, "EncodeError");
        assert_eq!(failure.exception.exc_module, "kombu.exceptions");
        assert_eq!(returned(&(1, "a")).unwrap(), json!([1, "a"]));
    }
}
