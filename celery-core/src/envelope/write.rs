//! Writing an envelope.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{BodyEncoding, Postmark};
use crate::{
    codec::json,
    message::{DeliveryInfo, Message, Properties},
    value::Map,
};

/// About as much as headers and properties take.
const AROUND_THE_BODY: usize = 900;

pub(super) fn envelope(message: &Message, mark: Postmark<'_>, encoding: BodyEncoding) -> String {
    let text = match encoding {
        BodyEncoding::Utf8 => str::from_utf8(&message.body).ok(),
        BodyEncoding::Base64 => None,
    };
    let mut object =
        Object::new(String::with_capacity(message.body.len() / 3 * 4 + AROUND_THE_BODY));
    object.key("body");
    match text {
        Some(text) => json::write_str(&mut object.out, text),
        None => {
            object.out.push('"');
            STANDARD.encode_string(&message.body, &mut object.out);
            object.out.push('"');
        }
    }
    object.text("content-encoding", message.content_encoding.as_deref());
    object.text("content-type", message.content_type.as_deref());
    object.key("headers");
    match &message.written_headers {
        Some(text) => object.out.push_str(text),
        None => json::write_object(&mut object.out, message.headers.iter()),
    }
    object.object("properties", |out| {
        properties(
            out,
            &message.properties,
            mark,
            if text.is_some() { BodyEncoding::Utf8 } else { BodyEncoding::Base64 },
        )
    });
    object.extra(&message.extra);
    object.end()
}

fn properties(
    out: String,
    properties: &Properties,
    mark: Postmark<'_>,
    encoding: BodyEncoding,
) -> String {
    let mut object = Object::new(out);
    object.text("correlation_id", properties.correlation_id.as_deref());
    object.text("reply_to", properties.reply_to.as_deref());
    // kombu adds its own to those that it was given, so these come before.
    object.extra(&properties.extra);
    object.integer("delivery_mode", properties.delivery_mode.map(i64::from));
    object.text("expiration", properties.expiration.as_deref());
    object.object("delivery_info", |out| delivery_info(out, &properties.delivery_info, mark));
    object.integer("priority", properties.priority);
    object.text("body_encoding", Some(encoding.name()));
    object.text("delivery_tag", Some(mark.delivery_tag));
    object.end()
}

fn delivery_info(out: String, info: &DeliveryInfo, mark: Postmark<'_>) -> String {
    let mut object = Object::new(out);
    object.text("exchange", Some(mark.exchange));
    object.text("routing_key", Some(mark.routing_key));
    if info.redelivered {
        object.key("redelivered");
        object.out.push_str("true");
    }
    let count = (info.delivery_count > 0).then_some(info.delivery_count);
    object.integer("delivery_count", count.map(i64::from));
    object.extra(&info.extra);
    object.end()
}

/// An object under way.
struct Object {
    out: String,
    empty: bool,
}

impl Object {
    fn new(mut out: String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// A key of ours, in which there is nothing to escape.
    fn key(&mut self, key: &str) {
        self.out.push_str(if self.empty { "\"" } else { ", \"" });
        self.empty = false;
        self.out.push_str(key);
        self.out.push_str("\": ");
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.key(key);
            json::write_str(&mut self.out, value);
        }
    }

    fn integer(&mut self, key: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.key(key);
            // Writing to a string cannot fail.
            _ = write!(self.out, "{value}");
        }
    }

    /// A member that is an object, which `write` is given the text so far to add to.
    fn object(&mut self, key: &str, write: impl FnOnce(String) -> String) {
        self.key(key);
        self.out = write(std::mem::take(&mut self.out));
    }

    fn extra(&mut self, extra: &Map) {
        for (key, value) in extra {
            self.out.push_str(if self.empty { "" } else { ", " });
            self.empty = false;
            json::write_str(&mut self.out, key);
            self.out.push_str(": ");
            json::write_value(&mut self.out, value);
        }
    }

    fn end(mut self) -> String {
        self.out.push('}');
        self.out
    }
}
