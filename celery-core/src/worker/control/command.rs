//! What a command of remote control is: its name, its parameters, what it does, and how the command line shows it.

use std::{
    any::{Any, type_name},
    error::Error,
    fmt,
    panic::AssertUnwindSafe,
};

use futures_util::FutureExt;
use serde_json::json;

use super::panel::Panel;
use crate::{
    arguments::{ArgumentError, Bound, Parameter},
    exception::Exception,
    repr,
    transport::BoxFuture,
    value::{Map, Value},
    worker::panics,
};

/// A command of remote control.
#[derive(Clone, Copy)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// The name that it had before Celery 3.
    pub alias: Option<&'static str>,
    /// Whether it only looks.
    pub kind: CommandKind,
    /// Whether the command line lists it.
    pub visible: bool,
    /// What it is for, in one line.
    pub help: &'static str,
    /// What its arguments on the command line are, as `<queue> [exchange]`.
    pub signature: Option<&'static str>,
    /// Which of its parameters are given by position on the command line, and what each is.
    pub args: &'static [(&'static str, ArgumentType)],
    /// The parameter that takes the rest of the command line, as a list.
    pub variadic: Option<&'static str>,
    /// The parameters that it has.
    pub parameters: &'static [Parameter],
    /// Whether arguments that it has no parameter for are ignored, and no error.
    ignores_others: bool,
    run: Run,
}

/// Whether a command is for `celery inspect` or for `celery control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// It only looks.
    Inspect,
    /// It changes something.
    Control,
}

/// What a word on the command line is, for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentType {
    /// Text, as it is.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true`, `yes`, `on`, `1`, or their opposites.
    Bool,
    /// JSON where it can be read as such, else text.
    Json,
}

/// Runs a command on its bound arguments.
pub type Run = for<'a> fn(&'a Panel, Bound) -> BoxFuture<'a, Answer>;

/// What a command answers: the reply, or none at all, for a worker that stops; or an error, which is the reply then.
pub type Answer = Result<Option<Value>, CommandError>;

impl Command {
    /// A command that only looks.
    pub const fn inspect(name: &'static str, run: Run) -> Self {
        Self::new(name, CommandKind::Inspect, run)
    }

    /// A command that changes something.
    pub const fn control(name: &'static str, run: Run) -> Self {
        Self::new(name, CommandKind::Control, run)
    }

    const fn new(name: &'static str, kind: CommandKind, run: Run) -> Self {
        Self {
            name,
            alias: None,
            kind,
            visible: true,
            help: "",
            signature: None,
            args: &[],
            variadic: None,
            parameters: &[],
            ignores_others: true,
            run,
        }
    }

    /// Its older name.
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// What it is for.
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// Its parameters: as keyword arguments they come.
    pub const fn parameters(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    /// How the command line shows its arguments.
    pub const fn signature(mut self, signature: &'static str) -> Self {
        self.signature = Some(signature);
        self
    }

    /// Which of its parameters the command line gives by position.
    pub const fn args(mut self, args: &'static [(&'static str, ArgumentType)]) -> Self {
        self.args = args;
        self
    }

    /// Which of its parameters takes the rest of the command line.
    pub const fn variadic(mut self, parameter: &'static str) -> Self {
        self.variadic = Some(parameter);
        self
    }

    /// Keeps it out of the lists of the command line.
    pub const fn hidden(mut self) -> Self {
        self.visible = false;
        self
    }

    /// Makes an argument that it has no parameter for an error.
    pub const fn strict(mut self) -> Self {
        self.ignores_others = false;
        self
    }

    /// Whether that is its name, or its older one.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alias == Some(name)
    }

    /// Binds the arguments and runs it. A command that panics has failed, and no more.
    pub(super) async fn call(&self, panel: &Panel, mut arguments: Map) -> Answer {
        if self.ignores_others {
            arguments.retain(|name, _| self.parameters.iter().any(|of| of.name == name));
        }
        let bound = Bound::bind(self.name, self.parameters, Vec::new(), arguments)?;
        match AssertUnwindSafe((self.run)(panel, bound)).catch_unwind().await {
            Ok(answer) => answer,
            Err(payload) => Err(CommandError::of_panic(&*payload)),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// `{"ok": …}`: how most commands say that they did what was asked.
pub(super) fn ok(value: impl Into<Value>) -> Answer {
    Ok(Some(json!({ "ok": value.into() })))
}

/// `{"error": …}`: a refusal in words.
pub(super) fn nok(value: impl Into<Value>) -> Answer {
    Ok(Some(json!({ "error": value.into() })))
}

/// An error of a command, which its asker sees as Python's repr of an exception.
///
/// Any `std` error becomes one with `?`, named for its type.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandError(Exception);

impl CommandError {
    /// An error of the name that Python's exception would have, such as `ValueError`.
    pub fn new(exc_type: &str, message: impl Into<String>) -> Self {
        Self(Exception::new(exc_type, "builtins", message.into()))
    }

    fn of_panic(payload: &(dyn Any + Send)) -> Self {
        Self(panics::failure(payload).exception)
    }
}

impl<E: Error> From<E> for CommandError {
    fn from(error: E) -> Self {
        let mut exception = Exception::from_error(&error);
        if type_name::<E>() == type_name::<ArgumentError>() {
            // Python has one name for arguments that do not fit.
            exception.exc_type = "TypeError".to_owned();
        }
        Self(exception)
    }
}

/// Python's `repr`: `ValueError('Pool restarts not enabled')`.
impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<_> = self.0.exc_message.iter().map(repr::python).collect();
        write!(f, "{}({})", self.0.exc_type, arguments.join(", "))
    }
}
