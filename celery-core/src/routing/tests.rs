use serde_json::json;

use super::*;
use crate::queue::{Exchange, ExchangeKind, Queue};

#[track_caller]
fn queue_of<'a>(routes: &'a Routes, task: &str) -> Option<&'a str> {
    routes.lookup(task).and_then(|route| route.queue.as_deref())
}

fn defaults() -> QueueDefaults {
    QueueDefaults {
        queue: "celery".into(),
        exchange: Exchange::direct("celery"),
        routing_key: "celery".into(),
        create_missing: true,
    }
}

#[test]
fn an_exact_name_comes_before_patterns_and_patterns_come_in_order() {
    let routes = Routes::parse(&json!({
        "a.*": "first",
        "a.b*": "second",
        "a.bc": { "queue": "exact", "routing_key": "k", "exchange": "e", "priority": 5, "expires": 60 },
    }))
    .unwrap();
    assert_eq!(queue_of(&routes, "a.b"), Some("first"));
    assert_eq!(
        routes.lookup("a.bc"),
        Some(&Route {
            queue: Some("exact".into()),
            exchange: Some("e".into()),
            routing_key: Some("k".into()),
            priority: Some(5),
            extra: Map::from_iter([("expires".to_owned(), json!(60))]),
        })
    );
    assert_eq!(routes.lookup("b"), None);
}

#[test]
fn the_first_router_that_knows_a_task_decides() {
    let routes = Routes::parse(
        &json!([{ "a.*": "pattern" }, { "a.b": "exact" }, [["c", "pairs"], ["d.*", {}]]]),
    )
    .unwrap();
    assert_eq!(queue_of(&routes, "a.b"), Some("pattern"));
    assert_eq!(queue_of(&routes, "c"), Some("pairs"));
    assert_eq!(routes.lookup("d.x"), Some(&Route::default()));
}

#[test]
fn a_list_of_pairs_is_one_router() {
    let routes =
        Routes::parse(&json!([["a.*", { "queue": "pattern" }], ["a.b", "exact"]])).unwrap();
    assert_eq!(queue_of(&routes, "a.b"), Some("exact"));
    assert_eq!(queue_of(&routes, "a.c"), Some("pattern"));
    assert!(Routes::parse(&json!(null)).unwrap().lookup("a").is_none());
    assert!(Routes::parse(&json!([])).unwrap().lookup("a").is_none());
}

#[test]
fn a_wildcard_other_than_a_star_is_one_only_beside_a_star() {
    let routes = Routes::parse(&json!({ "a?": "literal", "b?*": "pattern" })).unwrap();
    assert_eq!(queue_of(&routes, "a?"), Some("literal"));
    assert_eq!(queue_of(&routes, "ab"), None);
    assert_eq!(queue_of(&routes, "bc"), Some("pattern"));
}

#[test]
fn a_bad_route_is_named_with_what_is_wrong() {
    let message = |setting: Value| Routes::parse(&setting).unwrap_err().to_string();
    assert_eq!(
        message(json!(["proj.routers.route_task"])),
        "the router `proj.routers.route_task` is a Python function or class, which cannot be called from here; \
         write its routes as a dictionary from task names or patterns to queues"
    );
    assert_eq!(message(json!("proj.route")), message(json!(["proj.route"])));
    assert_eq!(
        message(json!({ "a": 7 })),
        "the route of `a` is `7`, and should be the name of a queue or a dictionary of options"
    );
    assert_eq!(
        message(json!({ "a": { "queu": "x" } })),
        "the route of `a` has the option `queu`, which there is not; did you mean `queue`?"
    );
    assert_eq!(
        message(json!({ "a": { "priority": "high" } })),
        "the route of `a` has the `priority` `\"high\"`, and it should be a whole number"
    );
    assert_eq!(
        message(json!(17)),
        "expected a dictionary or a list of pairs from task names to routes, and found `17`"
    );
    assert_eq!(
        message(json!([[["a", "b", "c"]]])),
        "expected a pair of a task's name or pattern and its route, and found `[\"a\",\"b\",\"c\"]`"
    );
    assert_eq!(message(json!({ "a": "" })), "the route of `a` is an empty name");
}

#[test]
fn without_a_setting_there_is_the_default_queue_and_others_are_made_up() {
    let defaults = QueueDefaults {
        routing_key: "key".into(),
        exchange: Exchange::topic("tasks"),
        ..defaults()
    };
    let queues = Queues::parse(&Value::Null, defaults).unwrap();
    let default = Queue {
        exchange: Exchange::topic("tasks"),
        routing_key: "key".into(),
        ..Queue::named("celery")
    };
    assert_eq!(queues.iter().collect::<Vec<_>>(), [&default]);
    assert_eq!(queues.default_queue(), default);
    assert_eq!(queues.get_or_create("celery").unwrap(), default);
    assert_eq!(queues.get_or_create("slow").unwrap(), Queue::named("slow"));
    assert_eq!(queues.exchange("tasks").kind, ExchangeKind::Topic);
    assert_eq!(queues.exchange("other"), Exchange::direct("other"));
}

#[test]
fn queues_are_read_from_names_and_dictionaries() {
    let queues = Queues::parse(
        &json!([
            "fast",
            { "name": "slow", "routing_key": "s", "exchange": "work", "exchange_type": "topic", "expires": 1.5 },
            { "name": "plain", "durable": true, "max_priority": 10 },
            { "name": "bound", "binding_key": "b" },
        ]),
        defaults(),
    )
    .unwrap();
    let on_default = |name, key: &str| Queue {
        exchange: Exchange::direct("celery"),
        routing_key: key.into(),
        ..Queue::named(name)
    };
    let slow = Queue {
        name: "slow".into(),
        exchange: Exchange::topic("work"),
        routing_key: "s".into(),
        expires: Some(std::time::Duration::from_millis(1500)),
    };
    let expected =
        [Queue::named("fast"), slow, on_default("plain", "plain"), on_default("bound", "b")];
    assert_eq!(queues.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    assert_eq!(queues.default_queue(), on_default("celery", "celery"));
}

#[test]
fn a_dictionary_of_queues_keeps_its_order() {
    let setting = json!({ "b": { "exchange": "x" }, "a": {}, "c": null });
    let queues = Queues::parse(&setting, defaults()).unwrap();
    let names: Vec<_> = queues.iter().map(|queue| &*queue.name).collect();
    assert_eq!(names, ["b", "a", "c"]);
    assert_eq!(queues.get("b").unwrap().exchange, Exchange::direct("x"));
    assert_eq!(queues.get("a").unwrap().routing_key, "a");
}

#[test]
fn an_unknown_queue_is_refused_when_none_are_to_be_made_up() {
    let queues =
        Queues::parse(&json!(["emails"]), QueueDefaults { create_missing: false, ..defaults() })
            .unwrap();
    assert_eq!(
        queues.get_or_create("email").unwrap_err().to_string(),
        "the queue `email` is not in `task_queues`, and `task_create_missing_queues` is off; did you mean `emails`?"
    );
    assert_eq!(
        queues.get_or_create("zzz").unwrap_err().to_string(),
        "the queue `zzz` is not in `task_queues`, and `task_create_missing_queues` is off"
    );
    assert!(queues.get_or_create("emails").is_ok());
}

#[test]
fn a_bad_queue_is_named_with_what_is_wrong() {
    let message = |setting: Value| Queues::parse(&setting, defaults()).unwrap_err().to_string();
    assert_eq!(
        message(json!({ "q": { "exchange_type": "headers" } })),
        "the queue `q` has the `exchange_type` `headers`, and it should be direct, topic or fanout"
    );
    assert_eq!(
        message(json!([{ "name": "q", "routingkey": "x" }])),
        "the queue `q` has the option `routingkey`, which there is not; did you mean `routing_key`?"
    );
    assert_eq!(
        message(json!([{ "name": "q", "expires": 0 }])),
        "the queue `q` has `expires` as `0`, and it should be a number of seconds above zero"
    );
    assert_eq!(
        message(json!([{ "nam": "q" }])),
        "expected a queue with a `name`, and found `{\"nam\":\"q\"}`"
    );
    assert_eq!(message(json!([""])), "the queue `` has no name");
}
