//! The arguments of a signature, as the macros' expansions give them.

use std::fmt;

use serde::Serialize;

use crate::{
    arguments::Hidden,
    error::Error,
    value::{Value, ValueError, to_value},
};

/// Arguments of a call, serialized one by one. The first failure is kept for the call to report.
pub struct Arguments(Result<Vec<Value>, Error>);

impl Arguments {
    /// No arguments.
    pub fn new() -> Self {
        Self(Ok(Vec::new()))
    }

    /// One more.
    pub fn push<T: Serialize>(mut self, argument: &T) -> Self {
        if let Ok(arguments) = &mut self.0 {
            match to_value(argument) {
                Ok(value) => arguments.push(value),
                Err(error) => self.0 = Err(ValueError::into(error)),
            }
        }
        self
    }

    /// The values, or why there are none.
    pub(crate) fn into_values(self) -> Result<Vec<Value>, Error> {
        self.0
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arguments").field(&self.0.as_ref().map(|args| Hidden(args.len()))).finish()
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::new()
    }
}
