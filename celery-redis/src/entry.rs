//! What is kept of a message that is out: kombu's `[envelope, exchange, routing key]`, and how to push it back.

use bytes::Bytes;
use celery_core::{
    codec::json,
    envelope,
    message::{Malformed, Message},
    value::{Map, Value},
};

/// The header of an envelope that our fetch script wrapped around an item that is none.
const MALFORMED: &str = "celery-malformed";

/// An entry of the hash of unacknowledged messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) envelope: Value,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
}

impl Entry {
    /// Reads an entry, whoever wrote it.
    pub(crate) fn read(raw: &[u8]) -> Option<Self> {
        let Ok(Value::Array(parts)) = json::from_slice(raw) else { return None };
        let [envelope, exchange, routing_key] = <[Value; 3]>::try_from(parts).ok()?;
        let text = |value: Value| value.as_str().map(str::to_owned).unwrap_or_default();
        envelope.is_object().then(|| Self {
            envelope,
            exchange: text(exchange),
            routing_key: text(routing_key),
        })
    }

    pub(crate) fn priority(&self) -> i64 {
        self.envelope["properties"]["priority"].as_i64().unwrap_or(0)
    }

    /// What goes back into the queue: the envelope, marked as redelivered, or the item that was no envelope.
    pub(crate) fn into_item(mut self) -> Vec<u8> {
        if self.envelope["headers"].get(MALFORMED).is_some() {
            return latin1(self.envelope["body"].as_str().unwrap_or_default());
        }
        mark(&mut self.envelope);
        json::to_vec(&self.envelope)
    }
}

/// An item as it was found, marked as redelivered when it is an envelope.
pub(crate) fn redelivered(item: &[u8]) -> Vec<u8> {
    match json::from_slice(item) {
        Ok(mut envelope) if envelope.is_object() => {
            mark(&mut envelope);
            json::to_vec(&envelope)
        }
        _ => item.to_vec(),
    }
}

/// An item that was lost by who had it: marked as redelivered, and counted, when it is an envelope.
pub(crate) fn lost(item: &[u8]) -> Vec<u8> {
    match json::from_slice(item) {
        Ok(mut envelope) if envelope.is_object() => {
            mark(&mut envelope);
            count(&mut envelope);
            json::to_vec(&envelope)
        }
        _ => item.to_vec(),
    }
}

fn count(envelope: &mut Value) {
    if let Some(Value::Object(info)) = envelope.pointer_mut("/properties/delivery_info") {
        let lost = info.get("delivery_count").and_then(Value::as_u64).unwrap_or(0);
        info.insert("delivery_count".to_owned(), lost.saturating_add(1).into());
    }
}

/// Sets the two marks that kombu sets, where there is a place for them.
fn mark(envelope: &mut Value) {
    let mut set = |pointer: &str| {
        if let Some(Value::Object(map)) = envelope.pointer_mut(pointer) {
            map.insert("redelivered".to_owned(), Value::Bool(true));
        }
    };
    set("/headers");
    set("/properties/delivery_info");
}

/// Reads an item of a queue. One that Python put back from our wrapping is unwrapped again.
pub(crate) fn message(item: &Bytes) -> (Bytes, Result<Message, Malformed>) {
    match envelope::from_json(item) {
        Ok(message) if message.headers.contains_key(MALFORMED) => {
            let raw = Bytes::from(latin1(&String::from_utf8_lossy(&message.body)));
            (raw.clone(), Err(Malformed { raw, reason: "the item is not a message".to_owned() }))
        }
        Ok(message) if message.properties.delivery_tag.is_empty() && !has_tag(item) => {
            let reason = "the message has no delivery tag".to_owned();
            (item.clone(), Err(Malformed { raw: item.clone(), reason }))
        }
        outcome => (item.clone(), outcome),
    }
}

fn has_tag(item: &[u8]) -> bool {
    let value = json::from_slice(item).unwrap_or_else(|_| Value::Object(Map::new()));
    value["properties"]["delivery_tag"].is_string()
}

/// Each character as one byte, which is how the wrapping has them.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_marks_are_set_and_the_rest_is_kept_in_order() {
        let item = br#"{"z": 1, "headers": {"a": 1.0}, "properties": {"delivery_info": {"exchange": ""}}}"#;
        let marked = redelivered(item);
        let expected = r#"{"z": 1, "headers": {"a": 1.0, "redelivered": true}, "properties": {"delivery_info": {"exchange": "", "redelivered": true}}}"#;
        assert_eq!(String::from_utf8(marked).unwrap(), expected);
    }

    #[test]
    fn what_was_lost_is_counted() {
        let item = br#"{"properties": {"delivery_info": {"exchange": ""}}}"#;
        let twice = lost(&lost(item));
        let expected = r#"{"properties": {"delivery_info": {"exchange": "", "redelivered": true, "delivery_count": 2}}}"#;
        assert_eq!(String::from_utf8(twice).unwrap(), expected);
    }

    #[test]
    fn what_is_no_envelope_is_put_back_as_it_was() {
        assert_eq!(redelivered(b"\xff{"), b"\xff{");
        assert_eq!(redelivered(b"[1]"), b"[1]");
    }

    #[test]
    fn an_entry_that_is_not_kombus_is_not_read() {
        assert_eq!(Entry::read(b"[{}, \"\"]"), None);
        assert_eq!(Entry::read(b"[1, \"\", \"q\"]"), None);
        let entry = Entry::read(br#"[{"properties": {"priority": 5}}, "", "q"]"#).unwrap();
        assert_eq!((entry.priority(), entry.routing_key.as_str()), (5, "q"));
    }
}
