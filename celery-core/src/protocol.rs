//! The task protocol: what worker and client make of a message's headers and body.
//!
//! Version 2 is written and read, version 1 and the hybrids of the two are read. Reading a message and
//! writing it again loses nothing: headers, embedded fields and properties that we do not know are kept.
//!
//! A reader takes what a Python worker would run. What would end that worker, or send it round in circles, is refused
//! with a [`ProtocolError`] that says what is wrong, and whose task it was as far as that is known.

mod debug;
mod decode;
mod encode;
mod fields;
mod retry;

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::Number;

pub use retry::RetryChanges;

use crate::{
    codec::DecodeError,
    date::{self, BadDate},
    message::{DeliveryInfo, Message},
    value::{Map, Value},
};

/// A task message, decoded. Its `Debug` shows no arguments.
///
/// It serializes for other processes of this program, which is not the form that brokers carry.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// The id of the task.
    pub id: String,
    /// The registered name of the task.
    pub task: String,
    /// The positional arguments.
    pub args: Vec<Value>,
    /// The keyword arguments.
    pub kwargs: Map,
    /// What is to happen after the task.
    pub embed: Embed,
    /// The rest of the standard headers.
    pub headers: TaskHeaders,
    /// Headers that are not Celery's own: the caller's, and those of versions to come.
    pub extra_headers: Map,
    /// The queue that answers go to.
    pub reply_to: Option<String>,
    /// The id that answers carry; the task's own unless the sender said otherwise.
    pub correlation_id: Option<String>,
    /// The priority.
    pub priority: Option<i64>,
    /// 2 for persistent, 1 for transient.
    pub delivery_mode: Option<u8>,
    /// Milliseconds until a broker that knows how may drop the message, as decimal digits.
    pub expiration: Option<String>,
    /// Where the message was published to.
    pub delivery_info: DeliveryInfo,
    /// Properties that we do not know.
    pub extra_properties: Map,
    /// The serializer that it came with, by content type.
    pub content_type: String,
    /// The MIME type of the compression that it came with.
    pub compression: Option<String>,
}

impl TaskMessage {
    /// The earliest time to run. A date without an offset is in the zone `naive_in`; Python's workers read it as UTC,
    /// whatever `timezone` is set to.
    ///
    /// # Errors
    ///
    /// [`BadDate`] when it is no date, which [`decode`](Self::decode) has ruled out for a message that came.
    pub fn eta(&self, naive_in: &TimeZone) -> Result<Option<Timestamp>, BadDate> {
        self.headers.eta.as_deref().map(|text| date::parse(text, naive_in)).transpose()
    }

    /// The latest time to start, read as [`eta`](Self::eta) is.
    ///
    /// # Errors
    ///
    /// [`BadDate`] when it is no date.
    pub fn expires(&self, naive_in: &TimeZone) -> Result<Option<Timestamp>, BadDate> {
        self.headers.expires.as_deref().map(|text| date::parse(text, naive_in)).transpose()
    }
}

/// The name of the task that a message of version 2 is for, without looking into its body. A message of version 1 has
/// it only there.
pub fn task_name(message: &Message) -> Option<&str> {
    message.headers.text("task")
}

/// A message is not for any task, or not one that can be run.
#[derive(Debug)]
pub struct ProtocolError {
    /// What is wrong.
    pub kind: ProtocolErrorKind,
    /// The name of the task, where it could be made out.
    pub task: Option<String>,
    /// The id of the task, where it could be made out: a failure can be stored under it.
    pub id: Option<String>,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for ProtocolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}

/// What is wrong with a message. A variant is there because a worker branches on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolErrorKind {
    /// Neither headers nor body name a task: it is somebody else's, or for a later version.
    #[error(
        "the message is not for a task: neither its headers nor its body have `task`; was it sent to the wrong queue?"
    )]
    NotATask,
    /// The body cannot be read: its content type is refused, its compression not known, or it is broken.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// The body was read, or the headers were, and they are not what the protocol asks for.
    #[error("the message breaks the task protocol: {0}")]
    Malformed(String),
}

/// The third element of a body: what is to happen after the task. Its `Debug` shows no signatures, which have arguments.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Embed {
    /// Signatures to call with the result.
    pub callbacks: Option<Vec<Value>>,
    /// Signatures to call upon failure.
    pub errbacks: Option<Vec<Value>>,
    /// The rest of the chain; the last element is next.
    pub chain: Option<Vec<Value>>,
    /// The body of the chord that the task is a header member of.
    pub chord: Option<Value>,
    /// Fields that we do not know.
    pub extra: Map,
}

/// The standard headers, but for the id and the name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskHeaders {
    /// The language of the sender.
    pub lang: Option<String>,
    /// A name to show instead of the task's.
    pub shadow: Option<String>,
    /// The earliest time to run, in ISO 8601 as it was sent.
    pub eta: Option<String>,
    /// The latest time to start, in ISO 8601 as it was sent.
    pub expires: Option<String>,
    /// The group that the task belongs to.
    pub group: Option<String>,
    /// Its place there.
    pub group_index: Option<i64>,
    /// How often the task has been retried.
    pub retries: u32,
    /// Hard and soft time limit in seconds.
    pub timelimit: (Option<Number>, Option<Number>),
    /// The first task of the whole tree.
    pub root_id: Option<String>,
    /// The task that sent this one.
    pub parent_id: Option<String>,
    /// The positional arguments as logs and events show them.
    pub argsrepr: Option<String>,
    /// The keyword arguments as logs and events show them.
    pub kwargsrepr: Option<String>,
    /// The process that sent it.
    pub origin: Option<String>,
    /// Whether the result is wanted; `None` leaves that to the task.
    pub ignore_result: Option<bool>,
    /// How often the task was replaced.
    pub replaced_task_nesting: u32,
    /// The names of the stamps.
    pub stamped_headers: Option<Vec<Value>>,
    /// The stamps.
    pub stamps: Map,
}
