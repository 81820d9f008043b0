//! Remote control across the fleet.

use std::{collections::BTreeMap, time::Duration};

use celery::Celery;
use celery_core::{control::Matcher, worker::WorkerOptions};
use peers::{LIMIT, PythonWorker, Space, celery_command, scenario};
use serde_json::{Value, json};

use super::rust::{RustWorker, options};
use crate::harness::app;

/// Waits until that many workers answer.
async fn answered(app: &Celery, nodes: usize) -> BTreeMap<String, Value> {
    let asking = async {
        loop {
            let ping = app.control().ping().limit(nodes).timeout(Duration::from_secs(2));
            let replies = ping.replies().await.unwrap();
            if replies.len() == nodes {
                return replies.into_iter().collect();
            }
        }
    };
    tokio::time::timeout(LIMIT, asking).await.expect("every worker answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_answer_remote_control_of_either_side() {
    let space = Space::new().with("task_default_queue", "rs");
    let app = app(&space);
    let named = WorkerOptions { hostname: Some("rust@interop".to_owned()), ..options(&["rs"], 1) };
    let ours = RustWorker::with(&app, named);
    let theirs =
        PythonWorker::start(&space, &["-P", "solo", "-Q", "py", "-n", "python@interop"]).await;
    let pong = json!({ "ok": "pong" });

    let replies = answered(&app, 2).await;
    assert_eq!(json!(replies), json!({ "python@interop": pong, "rust@interop": pong }));
    let to_one = app.control().ping().destination(["python@interop"]).timeout(LIMIT);
    assert_eq!(to_one.replies().await.unwrap(), [("python@interop".to_owned(), pong.clone())]);
    let ping = || app.control().ping().timeout(Duration::from_secs(2));
    for (pattern, matcher, node) in [
        ("rust*", Matcher::Glob, "rust@interop"),
        ("python@*", Matcher::Glob, "python@interop"),
        ("r[^@]+@interop$", Matcher::Pcre, "rust@interop"),
        ("p[^@]+@interop$", Matcher::Pcre, "python@interop"),
    ] {
        let matched = ping().pattern(pattern, matcher).replies().await.unwrap();
        assert_eq!(matched, [(node.to_owned(), pong.clone())], "{pattern}");
    }
    let both = ping().pattern("[pr]", Matcher::Pcre).limit(2).replies().await.unwrap();
    assert_eq!(both.into_iter().collect::<BTreeMap<_, _>>(), replies);
    let first = ping().timeout(LIMIT).limit(1).replies().await.unwrap();
    assert_eq!(first.len(), 1, "{first:?}");
    let registered =
        app.control().inspect().registered([""; 0]).destination(["python@interop"]).timeout(LIMIT);
    let names = &registered.replies().await.unwrap()[0].1;
    assert!(names.as_array().unwrap().contains(&json!("proj.tasks.add")), "{names}");

    let report = scenario(&space, "inspect").await;
    let both = json!({ "python@interop": pong, "rust@interop": pong });
    report.check("ping", &json!({ "replies": both }));
    let listed = report.case("control_ping")["replies"].as_array().unwrap();
    for node in ["python@interop", "rust@interop"] {
        assert!(listed.contains(&json!({ node: pong })), "{listed:?}");
    }
    report.check("to_one", &json!({ "replies": { "rust@interop": pong } }));
    report.check("registered", &json!({ "/replies/rust@interop": ["rs.add"], "/replies/python@interop": ["proj.tasks.add"] }));

    let status = celery_command(&space, &["status", "--timeout", "3"]).await;
    for line in ["rust@interop: OK", "python@interop: OK", "2 nodes online."] {
        assert!(status.contains(line), "{status}");
    }
    let left: Vec<String> = space.redis("KEYS", &["{}*reply.celery.pidbox*"]).await;
    assert!(
        left.iter().all(|key| key.contains("_kombu.binding")),
        "queues of replies are left: {left:?}"
    );
    ours.stop().await;
    theirs.stop().await;
}
