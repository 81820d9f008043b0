//! Types of errors, as options name them.

use std::{error::Error, fmt};

/// A type of error, to be recognised in a task's failure.
#[derive(Clone, Copy)]
pub struct ErrorType {
    is: fn(&(dyn Error + 'static)) -> bool,
    name: fn() -> &'static str,
}

impl ErrorType {
    /// The type `E`.
    pub const fn of<E: Error + 'static>() -> Self {
        Self { is: |error| error.is::<E>(), name: std::any::type_name::<E> }
    }

    /// Whether the error, or one that it was caused by, is of this type.
    pub fn matches(&self, error: &(dyn Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if (self.is)(error) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl fmt::Debug for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((self.name)())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_type_matches_through_the_sources_of_an_error() {
        #[derive(Debug, thiserror::Error)]
        #[error("no mail")]
        struct Mail(#[source] fmt::Error);
        let error = Mail(fmt::Error);
        assert!(ErrorType::of::<Mail>().matches(&error));
        assert!(ErrorType::of::<fmt::Error>().matches(&error));
        assert!(!ErrorType::of::<std::io::Error>().matches(&error));
    }
}
