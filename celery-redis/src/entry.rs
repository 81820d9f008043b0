//! What is kept of a message that is out: kombu's `[envelope, exchange, routing key]`, and how to push it back.

use bytes::Bytes;
use celery_core::{
    codec::json,
    envelope,
    message::{Malformed, Message},
    value::{Map, Value},
};
use serde_json::json;
use uuid::Uuid;

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
    pub(crate) fn into_item(self) -> Vec<u8> {
        self.item(mark)
    }

    /// As [`into_item`](Self::into_item), and counted: who had it died.
    pub(crate) fn into_lost_item(self) -> Vec<u8> {
        self.item(|envelope| {
            mark(envelope);
            count(envelope);
        })
    }

    /// As [`into_item`](Self::into_item), of a message whose holder died: see [`rescued`].
    pub(crate) fn into_rescued(self) -> Vec<u8> {
        self.item(|envelope| {
            mark(envelope);
            suspect(envelope);
        })
    }

    fn item(mut self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        if self.envelope["headers"].get(MALFORMED).is_some() {
            return latin1(self.envelope["body"].as_str().unwrap_or_default());
        }
        change(&mut self.envelope);
        json::to_vec(&self.envelope)
    }
}

/// The entry of a message that waits until it is due, so written that the script which puts it back need not read it: it
/// is marked as redelivered already, and spaces behind it, one more than its priority, say that one of ours deferred it and
/// which of the queue's lists it goes back to. JSON allows them there, and Python reads the entry as any other.
///
/// Empty for an item that is no envelope: its entry stays as it is.
pub(crate) fn deferred(item: &[u8], queue: &str, priority: i64) -> Vec<u8> {
    let Some(marked) = changed(item, mark) else { return Vec::new() };
    let mut entry = around(&marked, queue);
    let spaces = 1 + usize::try_from(priority.clamp(0, 9)).unwrap_or_default();
    entry.resize(entry.len() + spaces, b' ');
    entry
}

/// Whether one of ours deferred what the entry is of.
pub(crate) fn is_deferred(entry: &[u8]) -> bool {
    entry.ends_with(b" ")
}

/// A message as the books have it: its tag, and the entry that whoever restores it finds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Booked {
    pub(crate) tag: String,
    pub(crate) entry: Vec<u8>,
    pub(crate) priority: i64,
}

/// What is to be written of an item that came from the queue. What is no envelope is wrapped in one, so that whoever
/// restores it, Python too, finds JSON.
pub(crate) fn book(item: &Bytes, queue: &str) -> Booked {
    let (raw, message) = message(item);
    match message {
        Ok(message) => Booked {
            entry: around(item, queue),
            priority: message.properties.priority.unwrap_or(0),
            tag: message.properties.delivery_tag,
        },
        Err(_) => {
            let tag = format!("malformed-{}", Uuid::new_v4());
            let envelope = wrapped(&raw, &tag, queue);
            Booked { entry: around(&json::to_vec(&envelope), queue), tag, priority: 0 }
        }
    }
}

/// kombu's entry of an envelope that came from the queue.
fn around(envelope: &[u8], queue: &str) -> Vec<u8> {
    [b"[", envelope, b", \"\", ", &json::to_vec(&Value::from(queue)), b"]"].concat()
}

/// An envelope around what is none, each byte of which is one character of its body.
fn wrapped(raw: &[u8], tag: &str, queue: &str) -> Value {
    let body: String = raw.iter().copied().map(char::from).collect();
    json!({
        "body": body, "content-encoding": "latin-1", "content-type": "application/data",
        "headers": { MALFORMED: true },
        "properties": {
            "delivery_mode": 2, "delivery_info": { "exchange": "", "routing_key": queue },
            "priority": 0, "delivery_tag": tag
        }
    })
}

/// The priority that an item is to be put back with.
pub(crate) fn priority(item: &[u8]) -> i64 {
    let envelope = json::from_slice(item).unwrap_or_default();
    envelope["properties"]["priority"].as_i64().unwrap_or(0)
}

/// An item as it was found, marked as redelivered when it is an envelope.
pub(crate) fn redelivered(item: &[u8]) -> Vec<u8> {
    changed(item, mark).unwrap_or_else(|| item.to_vec())
}

/// An item that was lost by who had it: marked as redelivered, and counted, when it is an envelope.
pub(crate) fn lost(item: &[u8]) -> Vec<u8> {
    let changed = changed(item, |envelope| {
        mark(envelope);
        count(envelope);
    });
    changed.unwrap_or_else(|| item.to_vec())
}

/// An item whose losses are not counted any more, when it is an envelope.
pub(crate) fn uncounted(item: &[u8]) -> Vec<u8> {
    let changed = changed(item, |envelope| {
        if let Some(Value::Object(info)) = envelope.pointer_mut("/properties/delivery_info") {
            info.shift_remove("delivery_count");
        }
    });
    changed.unwrap_or_else(|| item.to_vec())
}

/// An item whose holder died. All that it held is suspected once; from then on a message is counted when it is
/// [begun], so that the neighbours of one that kills its workers are not counted with it.
pub(crate) fn rescued(item: &[u8]) -> Vec<u8> {
    let changed = changed(item, |envelope| {
        mark(envelope);
        suspect(envelope);
    });
    changed.unwrap_or_else(|| item.to_vec())
}

/// What the books have of a message that is being run: if its holder dies, it is counted already, whoever restores it.
pub(crate) fn begun(item: &[u8]) -> Vec<u8> {
    changed(item, count).unwrap_or_else(|| item.to_vec())
}

/// The envelope with a change, if it is one.
fn changed(item: &[u8], change: impl FnOnce(&mut Value)) -> Option<Vec<u8>> {
    let mut envelope = json::from_slice(item).ok().filter(Value::is_object)?;
    change(&mut envelope);
    Some(json::to_vec(&envelope))
}

fn suspect(envelope: &mut Value) {
    let counted = envelope.pointer("/properties/delivery_info/delivery_count");
    if counted.and_then(Value::as_u64).unwrap_or(0) == 0 {
        count(envelope);
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
