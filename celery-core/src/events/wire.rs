//! Events as messages: what is around them, byte for byte as Celery and kombu have it.

use jiff::{Timestamp, tz::TimeZone};

use super::{Fields, exchange};
use crate::{
    app::Celery,
    broker::Publication,
    clock,
    codec::{Serializer, json},
    config::EventConfig,
    error::Error,
    message::{Headers, Message, Properties},
    value::{Value, number},
};

/// Who sends, and how.
#[derive(Clone, Debug)]
pub(super) struct Sender<'a> {
    pub(super) config: &'a EventConfig,
    pub(super) hostname: &'a str,
    pub(super) pid: u32,
    /// Hours that the clocks of this machine are west of UTC.
    pub(super) utcoffset: f64,
}

/// An event as it waits to be sent: the fields from behind the clock on, and the clock.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) clock: u64,
    pub(super) text: String,
}

impl<'a> Sender<'a> {
    /// This process, under that node name.
    pub(super) fn of_this_process(config: &'a EventConfig, hostname: &'a str) -> Self {
        Self { config, hostname, pid: std::process::id(), utcoffset: utcoffset(clock::now()) }
    }

    /// The message of one event.
    pub(super) fn single(&self, routing_key: &str, event: &Told) -> Result<Publication, Error> {
        let mut body = String::with_capacity(event.text.len() + 128);
        self.write(&self.head(), event, &mut body);
        self.publication(routing_key, body)
    }

    /// The message of many events, which are a list; none for none.
    pub(super) fn list(
        &self,
        routing_key: &str,
        events: &[Told],
    ) -> Option<Result<Publication, Error>> {
        if events.is_empty() {
            return None;
        }
        let head = self.head();
        let length: usize = events.iter().map(|event| event.text.len() + head.len() + 32).sum();
        let mut body = String::with_capacity(length);
        body.push('[');
        for (at, event) in events.iter().enumerate() {
            body.push_str(if at == 0 { "" } else { ", " });
            self.write(&head, event, &mut body);
        }
        body.push(']');
        Some(self.publication(routing_key, body))
    }

    /// What all events begin with, up to the clock.
    fn head(&self) -> String {
        let mut head = String::from("{\"hostname\": ");
        json::write_str(&mut head, self.hostname);
        head.push_str(", \"utcoffset\": ");
        number::write_float(&mut head, self.utcoffset);
        head.push_str(&format!(", \"pid\": {}, \"clock\": ", self.pid));
        head
    }

    fn write(&self, head: &str, event: &Told, body: &mut String) {
        body.push_str(head);
        body.push_str(&event.clock.to_string());
        body.push_str(", ");
        body.push_str(&event.text);
        body.push('}');
    }

    fn publication(&self, routing_key: &str, body: String) -> Result<Publication, Error> {
        let serializer = Serializer::from_name(&self.config.serializer)
            .map_err(|error| Error::Call(error.to_string()))?;
        let body = match serializer {
            Serializer::Json => body.into(),
            // They are rare enough to be written twice.
            other => {
                let value =
                    json::from_str(&body).map_err(|error| Error::Call(error.to_string()))?;
                other.encode(&value)?
            }
        };
        let hostname = ("hostname", Value::from(self.hostname));
        let message = Message {
            body,
            content_type: Some(serializer.content_type().to_owned()),
            content_encoding: Some(serializer.content_encoding().to_owned()),
            headers: Headers::from_iter([hostname]),
            properties: Properties {
                delivery_mode: Some(1),
                priority: Some(0),
                ..Properties::default()
            },
            ..Message::default()
        };
        Ok(Publication {
            exchange: exchange(self.config),
            routing_key: routing_key.to_owned(),
            message,
        })
    }
}

impl Celery {
    /// The message of an event that this process tells as a client.
    pub(crate) fn event(
        &self,
        kind: &str,
        fields: impl FnOnce(&mut Fields),
    ) -> Result<Publication, Error> {
        self.event_of(self.origin_name(), kind, fields)
    }

    /// The message of an event that is told under that node name.
    pub(crate) fn event_of(
        &self,
        hostname: &str,
        kind: &str,
        fields: impl FnOnce(&mut Fields),
    ) -> Result<Publication, Error> {
        let mut written = Fields::new();
        fields(&mut written);
        let event = Told {
            clock: self.clock().forward(),
            text: written.end(clock::now().as_microsecond(), kind),
        };
        let sender = Sender::of_this_process(&self.config().event, hostname);
        sender.single(&routing_key(kind), &event)
    }
}

/// The routing key of a type of events: `task.sent` of `task-sent`.
pub(super) fn routing_key(kind: &str) -> String {
    kind.replace('-', ".")
}

/// Hours that the clocks of this machine are west of UTC: −1.0 in Berlin in winter.
pub(super) fn utcoffset(at: Timestamp) -> f64 {
    f64::from(-TimeZone::system().to_offset(at).seconds()) / 3600.0
}
