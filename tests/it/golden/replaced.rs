//! What workers publish in place of a task, and beside it.

use std::sync::{Arc, Mutex};

use celery::{
    WorkerOptions,
    core::{
        backend::NewJoin,
        codec::{AcceptContent, Serializer},
        envelope,
        protocol::TaskMessage,
        signals::{Publishing, Signals},
        tree::ResultTree,
    },
};
use serde_json::{Map, Value, json};

use super::capture;
use crate::harness::{Circle, memory_url, within};

/// Keeps what is published.
#[derive(Clone, Debug, Default)]
struct Published(Arc<Mutex<Vec<TaskMessage>>>);

impl Signals for Published {
    fn before_task_publish(&self, publishing: &mut Publishing<'_>) {
        self.0.lock().unwrap().push(publishing.message.clone());
    }
}

/// The messages of the capture, in the order in which they were published.
fn messages(name: &str) -> Vec<TaskMessage> {
    let golden = capture(name);
    let steps = golden["steps"].as_array().unwrap();
    let commands = steps.iter().flat_map(|step| step["commands"].as_array().unwrap());
    let pushed =
        commands.filter(|command| command["cmd"][0] == "LPUSH" && command.get("decoded").is_some());
    let read = |command: &Value| {
        let raw = command["cmd"][2].as_str().unwrap();
        let message = envelope::from_json(raw.as_bytes()).unwrap();
        TaskMessage::from_message(message, &AcceptContent::default()).unwrap()
    };
    pushed.map(read).collect()
}

/// A message as a value, with ids that were made up numbered as they come, and without what differs between processes.
fn comparable(messages: &[TaskMessage], known: &[String]) -> Vec<Value> {
    let mut made: Vec<String> = Vec::new();
    let mut values: Vec<Value> = messages
        .iter()
        .map(|message| {
            let encoded = message.encode(Serializer::Json, None).unwrap();
            let mut headers: Map<String, Value> = encoded.headers.clone().into();
            headers.remove("origin");
            let body: Value = serde_json::from_slice(&encoded.body).unwrap();
            json!({ "headers": headers, "body": body, "priority": message.priority })
        })
        .collect();
    values.iter_mut().for_each(|value| neutral(value, known, &mut made));
    values
}

fn neutral(value: &mut Value, known: &[String], made: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() == 36 && !known.contains(text) => {
            let at = made.iter().position(|id| id == text).unwrap_or_else(|| {
                made.push(text.clone());
                made.len() - 1
            });
            *text = format!("<{at}>");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| neutral(item, known, made)),
        Value::Object(map) => {
            // A signature of Celery's may say of an option that there is none.
            if let Some(Value::Object(options)) = map.get_mut("options") {
                options.retain(|name, option| !option.is_null() && name != "reply_to");
            }
            map.values_mut().for_each(|value| neutral(value, known, made));
        }
        _ => {}
    }
}

/// Runs what the client of the capture sent, and holds what a worker of ours published against what Celery's did.
async fn check(name: &str, sent: usize, header: &[usize]) {
    let golden = messages(name);
    let (client, theirs) = golden.split_at(sent);
    let published = Published::default();
    let url = memory_url();
    let signals = published.clone();
    let circle = Circle::build(|it| it.broker(&url).backend(&url).signals(signals), &json!({}));
    if !header.is_empty() {
        let group_id = client[0].headers.group.clone().unwrap();
        let members = header.iter().map(|&at| ResultTree::task(client[at].id.as_str())).collect();
        let size = header.len() as u64;
        let header = ResultTree::group(group_id.as_str(), members);
        let join = NewJoin { group_id, size, header, nests: false };
        circle.joins().await.begin(&[join]).await.unwrap();
    }
    for message in client {
        circle.push("celery", message.encode(Serializer::Json, None).unwrap()).await;
    }
    let options = WorkerOptions { concurrency: Some(1), ..WorkerOptions::default() };
    let worker = circle.worker_with(options);
    let all = async {
        while published.0.lock().unwrap().len() < theirs.len() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within(all).await;
    worker.stop().await;
    let ours = published.0.lock().unwrap().clone();
    let known: Vec<_> = client.iter().map(|message| message.id.clone()).collect();
    let (ours, theirs) = (comparable(&ours, &known), comparable(theirs, &known));
    assert_eq!(ours, theirs, "{name}");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_task_is_published_as_celery_publishes_it() {
    check("canvas_run/replace", 1, &[]).await;
    check("canvas_run/replace_in_chain", 1, &[]).await;
    check("canvas_run/replace_with_group", 1, &[]).await;
    check("chord/replace_in_header", 2, &[0, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_added_to_a_chord_is_published_as_celery_publishes_it() {
    check("chord/add_to_chord", 2, &[0, 1]).await;
}
