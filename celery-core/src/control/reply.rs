//! The reply of a worker as a value, and as it crosses the wire.

use serde_json::json;

use super::{
    BadControlMessage,
    request::{body, message},
};
use crate::{
    codec::{AcceptContent, EncodeError, Serializer},
    message::{Headers, Message},
    value::{Map, Value},
};

/// The reply of one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The node name of the worker.
    pub node: String,
    /// What it says.
    pub value: Value,
    /// The ticket of the request.
    pub ticket: Option<String>,
}

impl Reply {
    /// The message of the reply. `clock` is the worker's logical clock.
    ///
    /// # Errors
    /// [`EncodeError`] when the value cannot be serialized.
    pub fn to_message(&self, clock: u64, serializer: Serializer) -> Result<Message, EncodeError> {
        let body = Value::Object(Map::from_iter([(self.node.clone(), self.value.clone())]));
        let headers = Headers::from_iter([("ticket", json!(self.ticket)), ("clock", json!(clock))]);
        message(&body, headers, 1, serializer)
    }

    /// Reads the reply of a message.
    ///
    /// # Errors
    /// [`BadControlMessage`] when it is none, or is not to be accepted.
    pub fn from_message(
        message: &Message,
        accept: &AcceptContent,
    ) -> Result<Self, BadControlMessage> {
        let Value::Object(body) = body(message, accept)? else {
            return Err(BadControlMessage::Malformed("the body is not an object"));
        };
        let Some((node, value)) = body.into_iter().next() else {
            return Err(BadControlMessage::Malformed("no worker is named in it"));
        };
        let ticket = message.headers.text("ticket").map(str::to_owned);
        Ok(Self { node, value, ticket })
    }
}
