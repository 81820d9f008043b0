//! What the expansions of `#[inspect_command]` and `#[control_command]` speak to: the part of `celery::__private` that is
//! the worker's.
//!
//! It is no part of the API. Names may go and change with the macros, which come in the same version.

use serde::{Serialize, de::DeserializeOwned};

pub use super::control::{Answer, ArgumentType, Command, CommandError};
use crate::{arguments::Bound, value::to_value};

/// The argument of the parameter at that place, as a `T`.
///
/// # Errors
/// Python's `TypeError`, when it is no `T`.
pub fn argument<T: DeserializeOwned>(bound: &mut Bound, index: usize) -> Result<T, CommandError> {
    Ok(bound.take(index)?)
}

/// The argument of the parameter at that place, or its default where it was left out.
///
/// # Errors
/// Python's `TypeError`, when it is no `T`.
pub fn argument_or<T: DeserializeOwned>(
    bound: &mut Bound,
    index: usize,
    default: impl FnOnce() -> T,
) -> Result<T, CommandError> {
    Ok(bound.take_or(index, default)?)
}

/// The reply of a command that returned this.
///
/// # Errors
/// When it cannot be serialized.
pub fn answered<T: Serialize + ?Sized>(value: &T) -> Answer {
    Ok(Some(to_value(value)?))
}

/// The reply of a command that returned this, or failed.
///
/// # Errors
/// What it failed with.
pub fn answered_if<T: Serialize, E>(outcome: Result<T, E>) -> Answer
where
    CommandError: From<E>,
{
    answered(&outcome?)
}
