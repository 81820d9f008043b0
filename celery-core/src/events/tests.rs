//! What is sent is what Celery sent, byte for byte.

use std::{fs, path::Path};

use serde_json::json;

use super::{
    wire::{Sender, Told, routing_key},
    *,
};
use crate::{
    broker::{Queue, Subscription},
    codec,
    config::Config,
    envelope::{self, BodyEncoding},
    value::{Map, Value},
};

mod receiving;
mod sending;

fn capture(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden");
    codec::json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

/// What a receiver makes of the body.
fn events_of(body: &[u8]) -> Vec<Map> {
    let object = |value| match value {
        Value::Object(map) => map,
        other => panic!("no event: {other}"),
    };
    match codec::json::from_slice(body).unwrap() {
        Value::Array(events) => events.into_iter().map(object).collect(),
        one => vec![object(one)],
    }
}

#[test]
fn every_captured_message_is_written_as_celery_wrote_it() {
    let capture = capture("events/raw_sequence.json");
    let config = Config::default().event;
    let messages = capture["messages"].as_array().unwrap();
    assert!(messages.len() > 50);
    for captured in messages {
        let raw = captured["raw"].as_str().unwrap();
        let message = envelope::from_json(raw.as_bytes()).unwrap();
        let routing_key = &message.properties.delivery_info.routing_key;
        let events = events_of(&message.body);
        let first = &events[0];
        let sender = Sender {
            config: &config,
            hostname: first["hostname"].as_str().unwrap(),
            pid: first["pid"].as_u64().unwrap().try_into().unwrap(),
            utcoffset: first["utcoffset"].as_f64().unwrap(),
        };
        let told: Vec<_> = events.iter().map(|event| tell(event, routing_key)).collect();
        let publication = match &told[..] {
            [one] if !routing_key.ends_with(".multi") => sender.single(routing_key, one).unwrap(),
            _ => sender.list(routing_key, &told).unwrap().unwrap(),
        };
        assert_eq!(publication.exchange.name, "celeryev");
        let mut written = publication.message;
        written.properties.delivery_info = message.properties.delivery_info.clone();
        written.properties.delivery_tag = message.properties.delivery_tag.clone();
        assert_eq!(envelope::to_json(&written, BodyEncoding::Base64), raw.as_bytes());
    }
}

/// The event, told again through the fields that stand behind its clock.
fn tell(event: &Map, key: &str) -> Told {
    let common = ["hostname", "utcoffset", "pid", "clock", "timestamp", "type"];
    let kind = event["type"].as_str().unwrap();
    assert!(key.ends_with(".multi") || routing_key(kind) == key);
    let mut fields = Fields::new();
    for (name, value) in event.iter().filter(|(name, _)| !common.contains(&name.as_str())) {
        fields.add(name, value);
    }
    // The floats of Python have more digits than microseconds.
    let mut text = fields.end(0, kind);
    let timestamp = codec::json::to_string(&event["timestamp"]);
    let at = text.rfind("\"timestamp\": 0.0").unwrap() + "\"timestamp\": ".len();
    text.replace_range(at..at + 3, &timestamp);
    Told { clock: event["clock"].as_u64().unwrap(), text }
}

/// An app on a broker of its own, and what is heard there.
async fn app(name: &str, settings: Value) -> (Celery, Box<dyn Subscription>) {
    let app = Celery::builder("test")
        .environment_from([])
        .broker(format!("memory://{name}"))
        .config_from_object(&settings, "")
        .unwrap()
        .build()
        .unwrap();
    let (exchange, routing_key) = (exchange(&app.config().event), "#".to_owned());
    let queue = Queue { exchange, routing_key, ..Queue::named("monitor") };
    let heard = app.broker().await.unwrap().subscribe(&queue).await.unwrap();
    (app, heard)
}
