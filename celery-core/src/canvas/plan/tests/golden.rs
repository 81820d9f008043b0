//! The canvases of the captures, planned and sent by us, beside what real Celery sent for them.

use std::{collections::HashMap, fs, path::Path};

use serde_json::json;

use super::{chain, chord, group, task};
use crate::{
    app::Celery,
    canvas::plan::{
        Call, Plan,
        replace::{Replaced, replacement},
    },
    clock,
    codec::{AcceptContent, json as codec},
    envelope,
    protocol::TaskMessage,
    signature::{CallOptions, Spec},
    task::When,
    value::{Map, Value},
};

fn capture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden").join(name);
    let text =
        fs::read(path.with_extension("json")).unwrap_or_else(|error| panic!("{name}: {error}"));
    codec::from_slice(&text).unwrap()
}

/// The task messages of a capture that were published, in order.
fn captured(name: &str) -> Vec<TaskMessage> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text.starts_with("{\"body\": ") && !found.contains(text) => {
                found.push(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(map) => map.values().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&capture(name), &mut found);
    let accept = AcceptContent::new(["json"]).unwrap();
    let read = |text: &String| {
        let message = envelope::from_json(text.as_bytes()).unwrap();
        TaskMessage::decode(&message, &accept).unwrap()
    };
    found.iter().map(read).collect()
}

pub(super) fn app() -> Celery {
    Celery::builder("golden").broker("memory://planned").build().unwrap()
}

/// What is sent for a call of the signature.
fn sent(app: &Celery, spec: Spec, call: Call) -> Vec<TaskMessage> {
    messages(app, app.plan(spec, call).unwrap())
}

fn messages(app: &Celery, plan: Plan) -> Vec<TaskMessage> {
    let prepared = plan.tasks.into_iter().map(|task| {
        let outgoing = app.prepare(task, None, clock::now()).unwrap();
        let mut message = outgoing.message;
        message.delivery_info.routing_key = outgoing.routing_key;
        message
    });
    prepared.collect()
}

/// What is sent of a plan, as messages say it.
pub(super) fn sent_for(app: &Celery, plan: Plan) -> Value {
    let mut said: Value = messages(app, plan).iter().map(said).collect();
    for message in said.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        // How arguments are shown is not the matter here.
        message.retain(|key, _| !key.ends_with("repr"));
    }
    said
}

/// What messages say that is not of the process that sends them, with ids as numbers in the order in which they come up.
fn told(messages: &[TaskMessage]) -> Value {
    numbered(&messages.iter().map(said).collect(), &mut HashMap::new())
}

fn said(message: &TaskMessage) -> Value {
    let TaskMessage { headers, embed, .. } = message;
    // JSON has no tuples, which Celery shows as it has them.
    let as_lists = |shown: &String| shown.replace('(', "[").replace(')', "]");
    json!({
        "id": message.id, "task": message.task, "args": message.args, "kwargs": message.kwargs,
        "callbacks": embed.callbacks, "errbacks": embed.errbacks, "chain": embed.chain, "chord": embed.chord,
        "group": headers.group, "group_index": headers.group_index,
        "root_id": headers.root_id, "parent_id": headers.parent_id,
        "argsrepr": headers.argsrepr, "kwargsrepr": headers.kwargsrepr.as_ref().map(as_lists),
        "replaced_task_nesting": headers.replaced_task_nesting,
        "stamped_headers": headers.stamped_headers, "stamps": headers.stamps,
        "has_eta": headers.eta.is_some(), "priority": message.priority,
        "correlation_id": message.correlation_id, "reply_to": message.reply_to,
        "queue": message.delivery_info.routing_key,
    })
}

/// The value with its ids as numbers, in the order in which they come up.
///
/// `null` is taken for absent: Celery's frozen groups have a `root_id` and a `parent_id` of null, and reads both alike. So
/// are the ids of the root and of the group index that its chords pass on without having one, and `add_to_parent`, which only
/// the process that writes it acts on; and of a group, the group that it is in, which its members know.
pub(super) fn numbered(value: &Value, ids: &mut HashMap<String, usize>) -> Value {
    match value {
        Value::String(text) if is_id(text) => {
            let next = ids.len();
            format!("id {}", ids.entry(text.clone()).or_insert(next)).into()
        }
        Value::Array(items) => items.iter().map(|item| numbered(item, ids)).collect(),
        Value::Object(map) if map.get("subtask_type").is_some_and(|kind| kind == "group") => {
            let mut map = map.clone();
            map["subtask_type"] = "a group".into();
            if let Some(options) = map["options"].as_object_mut() {
                options.shift_remove("group_id");
            }
            numbered(&Value::Object(map), ids)
        }
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            let is_set = |value: &Value| !value.is_null() && *value != json!({});
            let known = |key: &&String| is_set(&map[*key]) && *key != "add_to_parent";
            let entries = keys.into_iter().filter(known);
            Value::Object(entries.map(|key| (key.clone(), numbered(&map[key], ids))).collect())
        }
        other => other.clone(),
    }
}

fn is_id(text: &str) -> bool {
    text.starts_with('#') || text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

fn add(args: Value) -> Spec {
    task("wireapp.add", args)
}

fn mul(args: Value) -> Spec {
    task("wireapp.mul", args)
}

fn xsum() -> Spec {
    task("wireapp.xsum", json!([]))
}

fn echo() -> Spec {
    task("wireapp.echo", json!([]))
}

fn immutable(spec: Spec) -> Spec {
    Spec { immutable: true, ..spec }
}

fn with(mut spec: Spec, set: impl FnOnce(&mut CallOptions)) -> Spec {
    set(&mut spec.options);
    spec
}

/// A task of Celery's own that calls another for each item.
fn each(name: &str, task: &Spec, it: Value, more: &Value) -> Spec {
    let mut kwargs = Map::from_iter([("task".to_owned(), task.to_value()), ("it".to_owned(), it)]);
    kwargs.extend(more.as_object().cloned().unwrap());
    immutable(Spec::new(name, Vec::new(), kwargs))
}

fn errback() -> Spec {
    task("wireapp.on_err_new", json!([]))
}

#[tokio::test]
async fn what_is_sent_for_a_canvas_is_what_celery_sends() {
    let app = app();
    let check = |name: &str, spec: Spec| {
        let ours = sent(&app, spec, Call::default());
        assert_eq!(told(&ours), told(&captured(name)), "{name}");
    };
    let twos = || [add(json!([1, 1])), add(json!([2, 2]))];
    let threes = || [add(json!([1, 1])), add(json!([2, 2])), add(json!([3, 3]))];
    let sums = || [add(json!([1, 1])), mul(json!([2]))];
    check("canvas/chain2", chain(sums()));
    let done = immutable(task("wireapp.echo", json!(["done"])));
    check("canvas/chain4", chain([add(json!([1, 1])), mul(json!([2])), mul(json!([3])), done]));
    let later = |options: &mut CallOptions| options.eta = Some(When::in_seconds(10.0));
    check("canvas/chain_countdown", with(chain(sums()), later));
    let linked = with(chain(sums()), |options| {
        options.link.push(echo());
        options.link_error.push(errback());
    });
    check("canvas/chain_link", linked);
    check("canvas/immutable", chain([add(json!([1, 1])), immutable(add(json!([5, 5])))]));
    let fan = || group([mul(json!([2])), mul(json!([3]))]);
    check("canvas/task_then_group", chain([add(json!([1, 1])), fan()]));
    check("canvas/chain_group_chain", chain([add(json!([1, 1])), fan(), xsum(), echo()]));
    check("canvas/group", group(threes()));
    let there = |options: &mut CallOptions| {
        options.queue = Some("g".to_owned());
        options.priority = Some(6);
    };
    check("canvas/group_options", with(group(twos()), there));
    check("options/group_in_group", group([group(twos()), add(json!([3, 3]))]));
    check("canvas/group_then_task", chord(twos(), xsum()));
    check("canvas/chord", chord(threes(), xsum()));
    check("canvas/chord_empty_header", chord([], xsum()));
    check("canvas/chord_body_chain", chord(twos(), chain([xsum(), mul(json!([2])), echo()])));
    check("canvas/chord_body_group", chord(twos(), group([xsum(), echo()])));
    let watched = with(xsum(), |options| options.link_error.push(errback()));
    check("canvas/chord_link_error", chord(twos(), watched));
    let nested = [
        chord(twos(), xsum()),
        group([add(json!([3, 3])), add(json!([4, 4]))]),
        chain([add(json!([5, 5])), mul(json!([2]))]),
    ];
    check("canvas/chord_nested_header", chord(nested, xsum()));
    let pairs = json!([[1, 1], [2, 2], [3, 3]]);
    let adder = task("wireapp.add", json!([]));
    check("canvas/chunks", each("celery.chunks", &adder, pairs, &json!({ "n": 2 })));
    let lists = json!([[1, 2], [3, 4]]);
    check("canvas/map", each("celery.map", &xsum(), lists.clone(), &json!({})));
    check("canvas/starmap", each("celery.starmap", &adder, lists, &json!({})));
}

#[tokio::test]
async fn stamps_are_carried_as_celery_carries_them() {
    let app = app();
    let check = |name: &str, spec: Spec| {
        let ours = sent(&app, spec, Call::default());
        assert_eq!(told(&ours), told(&captured(name)), "{name}");
    };
    let stamped = |spec: Spec| {
        with(spec, |options| {
            options.stamped_headers = Some(vec!["team".into(), "monitoring_id".into()]);
            options.stamps.insert("team".to_owned(), "blue".into());
            options.stamps.insert("monitoring_id".to_owned(), json!(["m1", "m2"]));
        })
    };
    check("canvas/stamped", stamped(add(json!([2, 3]))));
    let both = [stamped(add(json!([2, 3]))), stamped(mul(json!([4, 5])))];
    check("canvas/stamped_group", group(both));
    let steps = chain([stamped(add(json!([2, 3]))), stamped(mul(json!([4])))]);
    check("canvas/stamped_chain_link", with(steps, |it| it.link.push(stamped(echo()))));
    let team = json!({ "task": "wireapp.add", "args": [2, 3], "options": { "stamped_headers": ["team"], "team": "blue" } });
    check("canvas/stamped_kwargs", Spec::from_value(team.clone()).unwrap());
    check("canvas/stamped_apply_async", Spec::from_value(team).unwrap());
}

#[test]
fn the_signatures_of_celery_are_written_as_they_were_read() {
    for (file, key) in
        [("canvas/signature_dicts", ""), ("canvas/signature_dicts_frozen", "/frozen")]
    {
        let capture = capture(file);
        for (name, form) in capture["forms"].as_object().unwrap() {
            let value = form.pointer(key).unwrap();
            let spec = Spec::from_value(value.clone()).unwrap();
            assert_eq!(&spec.to_value(), value, "{file}: {name}");
        }
    }
}

#[test]
fn the_results_of_a_signature_are_celerys() {
    let capture = capture("canvas/signature_dicts_frozen");
    for (name, form) in capture["forms"].as_object().unwrap() {
        let expected = &form["result_as_tuple"];
        // Celery gives chunks an id under which nothing is ever stored.
        if expected.is_null() || name == "chunks" {
            continue;
        }
        let spec = Spec::from_value(form["frozen"].clone()).unwrap();
        let plan = app().plan(spec, Call::default()).unwrap();
        assert_eq!(&plan.result.to_value(), expected, "{name}");
    }
}

/// What follows a task, with its result: the next step of its chain, which Celery calls with the ids of the tree.
fn next_step(
    app: &Celery,
    signature: &Value,
    result: Value,
    by: &TaskMessage,
    rest: &[Value],
) -> Vec<TaskMessage> {
    let options = CallOptions {
        root_id: by.headers.root_id.clone(),
        parent_id: Some(by.id.clone()),
        chain: Some(rest.to_vec()),
        ..CallOptions::default()
    };
    let call = Call { args: vec![result], options, ..Call::default() };
    sent(app, Spec::from_value(signature.clone()).unwrap(), call)
}

/// The body of the chord that the task is the last part of. Its messages get the ids of the tree from the task that runs.
fn body_of(app: &Celery, by: &TaskMessage, results: Value) -> Vec<TaskMessage> {
    let body = Spec::from_value(by.embed.chord.clone().unwrap()).unwrap();
    let root_of_its_own = body.options.root_id.is_none();
    let mut body = sent(app, body, Call { args: vec![results], ..Call::default() });
    for message in &mut body {
        message.headers.parent_id = Some(by.id.clone());
        if root_of_its_own {
            message.headers.root_id.clone_from(&by.headers.root_id);
        }
    }
    body
}

/// The messages with that place in a capture are what follows, by the ids that they had been given.
fn same(ours: &[TaskMessage], theirs: &[TaskMessage]) {
    assert_eq!(told(ours), told(theirs));
    let ids = |messages: &[TaskMessage]| -> Vec<String> {
        messages.iter().map(|message| message.id.clone()).collect()
    };
    assert_eq!(ids(ours), ids(theirs));
}

#[tokio::test]
async fn a_worker_sends_what_follows_as_celery_does() {
    let app = app();
    // add(1, 1) | group(mul(2), mul(3)) | xsum | echo
    let messages = captured("chord/task_group_task_chain");
    let [first, header @ .., body, last] = &messages[..] else { panic!("five messages") };
    let rest = first.embed.chain.as_deref().unwrap();
    let (next, rest) = rest.split_last().unwrap();
    same(&next_step(&app, next, 2.into(), first, rest), header);
    let by = header.last().unwrap();
    same(&body_of(&app, by, json!([4, 6])), std::slice::from_ref(body));
    let (next, rest) = body.embed.chain.as_deref().unwrap().split_last().unwrap();
    same(&next_step(&app, next, 10.into(), body, rest), std::slice::from_ref(last));

    for (name, sent) in [("chord/body_chain", 1), ("chord/body_group", 2)] {
        let messages = captured(name);
        let (header, body) = messages.split_at(2);
        same(&body_of(&app, &header[1], json!([2, 4])), &body[..sent]);
    }
}

#[tokio::test]
async fn a_task_is_replaced_as_celery_does_it() {
    let app = app();
    let replaced = |by: &TaskMessage, spec: Spec| {
        let task = Replaced {
            id: by.id.clone(),
            root_id: by.headers.root_id.clone(),
            group_id: by.headers.group.clone(),
            group_index: by.headers.group_index,
            chord: by.embed.chord.clone().map(Into::into),
            chain: by.embed.chain.clone(),
            callbacks: by
                .embed
                .callbacks
                .iter()
                .flatten()
                .cloned()
                .map(|it| Spec::from_value(it).unwrap())
                .collect(),
            ..Replaced::default()
        };
        let (spec, mut options) = replacement(spec, task).unwrap();
        options.parent_id = Some(by.id.clone());
        sent(&app, spec, Call { options, ..Call::default() })
    };
    let one = |message: &TaskMessage| vec![message.clone()];
    for (name, at, with) in [
        ("canvas_run/replace", 1, add(json!([5, 100]))),
        ("canvas_run/replace_in_chain", 1, add(json!([5, 100]))),
        ("chord/replace_in_header", 2, add(json!([1, 100]))),
    ] {
        let messages = captured(name);
        same(&replaced(&messages[0], with), &one(&messages[at]));
    }
    let messages = captured("canvas_run/replace_with_group");
    let ours = replaced(&messages[0], group([add(json!([1, 1])), add(json!([1, 2]))]));
    assert_eq!(told(&ours), told(&messages[1..3]));
    let by = &messages[2];
    let collected = body_of(&app, by, json!([2, 3]));
    same(&collected, &messages[3..4]);
}
