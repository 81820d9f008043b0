//! The commands, with a worker that answers them.

use crate::site::Site;

const TASKS: [&str; 10] = [
    "demoapp.tasks.add",
    "demoapp.tasks.count_widgets",
    "demoapp.tasks.create_widget",
    "demoapp.tasks.fail",
    "demoapp.tasks.flaky",
    "demoapp.tasks.mul",
    "demoapp.tasks.rename_widget",
    "demoapp.tasks.sleep",
    "demoapp.tasks.xsum",
    "emails.tasks.send_welcome_email",
];

#[test]
fn a_worker_lists_its_queues_and_the_tasks_of_all_apps_and_says_when_it_is_ready() {
    let site = Site::new(1);
    let worker = site.worker(&["-n", "w1@here", "-c", "3"]);
    worker.signal("TERM");
    let ended = worker.end();
    let banner: Vec<_> = ended.out.lines().map(str::trim_end).collect();
    let tasks = banner.iter().position(|line| *line == "[tasks]").unwrap();
    let listed: Vec<_> = banner[tasks + 1..][..TASKS.len()].to_vec();
    assert_eq!(listed, TASKS.map(|task| format!("  . {task}")));
    for part in [
        " w1@here v",
        ".> app:         mysite",
        &format!(".> transport:   {}", site.url),
        &format!(".> results:     {}", site.url),
        ".> concurrency: 3 (async)",
        ".> celery           exchange=celery(direct) key=celery",
        ".> emails           exchange=emails(direct) key=emails",
    ] {
        assert!(banner[..tasks].iter().any(|line| line.contains(part)), "{part}: {banner:#?}");
    }
    assert!(ended.err.contains(": INFO/MainProcess] w1@here ready.\n"), "{}", ended.err);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn a_call_prints_an_id_and_result_prints_what_the_task_returned() {
    let site = Site::new(2);
    let _worker = site.worker(&[]);
    let check = |task: &str, arguments: &str, expected: &str| {
        let id = site.call(task, arguments);
        assert_eq!(id.len(), "291396d1-b608-4a82-8851-138f64dd6bd5".len(), "{id}");
        assert_eq!(site.result(&id), expected, "{task}");
    };
    check("demoapp.tasks.add", "[2, 2]", "4");
    check("demoapp.tasks.mul", "[6, 7]", "42");
    check("demoapp.tasks.xsum", "[[1, 2, 3]]", "6");
    check("demoapp.tasks.create_widget", r#"["cog"]"#, "{'id': 1, 'name': 'cog'}");
    // In the quotes that Python would choose.
    check("demoapp.tasks.create_widget", r#"["it's"]"#, r#"{'id': 2, 'name': "it's"}"#);
    check("demoapp.tasks.count_widgets", "[]", "2");
    check("demoapp.tasks.rename_widget", r#"[1, "wheel"]"#, "{'id': 1, 'name': 'wheel'}");
}

#[test]
fn a_task_that_fails_is_shown_with_its_traceback() {
    let site = Site::new(3);
    let mut worker = site.worker(&[]);
    let id = site.call("demoapp.tasks.fail", r#"["out of cogs"]"#);
    let failed = site.run(&["result", &id]);
    assert_eq!((failed.code, &*failed.out), (Some(1), ""));
    let traceback = site.run(&["result", "--traceback", &id]).success();
    assert_eq!(failed.err.trim_end(), traceback.trim_end());
    let lines: Vec<_> = traceback.trim_end().lines().collect();
    assert_eq!(lines[0], "Traceback (most recent call last):");
    assert!(lines[1].ends_with(", in demoapp.tasks.fail"), "{traceback}");
    assert_eq!(*lines.last().unwrap(), "demoapp.tasks.DemoError: out of cogs");
    worker.wait_for(&format!("demoapp.tasks.fail[{id}] raised unexpected: DemoError: out of cogs"));

    let id = site.call("demoapp.tasks.add", r#"[1]"#);
    let failed = site.run(&["result", &id]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.contains("missing 1 required positional argument: 'y'"), "{}", failed.err);
}

#[test]
fn a_task_that_is_retried_twice_succeeds() {
    let site = Site::new(4);
    let mut worker = site.worker(&[]);
    let id = site.call("demoapp.tasks.flaky", "[0.1]");
    assert_eq!(site.result(&id), "3");
    for attempt in [1, 2] {
        worker.wait_for(&format!("s: DemoError: attempt {attempt} failed"));
    }
    worker.wait_for(&format!("[{id}] succeeded in "));
}

#[test]
fn workers_answer_inspect_and_status() {
    let site = Site::new(5);
    let _workers = [site.worker(&["-n", "w1@here"]), site.worker(&["-n", "w2@here"])];
    let ping = site.run(&["inspect", "ping", "--json"]).success();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&ping).unwrap(),
        serde_json::json!({ "w1@here": { "ok": "pong" }, "w2@here": { "ok": "pong" } })
    );
    let registered = site.run(&["inspect", "registered", "-d", "w1@here"]).success();
    let tasks: String = TASKS.iter().map(|task| format!("    * {task}\n")).collect();
    assert_eq!(registered, format!("->  w1@here: OK\n{tasks}\n1 node online.\n"));
    let status = site.run(&["status"]).success();
    assert!(status.contains("->  w1@here: OK\n"), "{status}");
    assert!(status.ends_with("\n2 nodes online.\n"), "{status}");
}

#[test]
fn without_a_worker_nobody_replies() {
    let ended = Site::new(6).run(&["inspect", "ping", "-t", "0.1"]);
    assert_eq!(ended.code, Some(69));
    assert_eq!(ended.err, "Error: No nodes replied within time constraint\n");
}

#[test]
fn purge_empties_the_queues_of_the_project() {
    let site = Site::new(7);
    site.call("demoapp.tasks.add", "[1, 1]");
    site.call("demoapp.tasks.add", "[2, 2]");
    site.call("emails.tasks.send_welcome_email", "[7]");
    assert_eq!((site.waiting("celery").len(), site.waiting("emails").len()), (2, 1));
    // Without `-f` it asks, and no answer is a no.
    assert_eq!(site.run(&["purge"]).code, Some(1));
    assert_eq!(site.waiting("celery").len(), 2);
    let purged = site.run(&["purge", "-f"]).success();
    assert_eq!(purged, "Purged 3 messages from 2 known task queues.\n");
    assert_eq!((site.waiting("celery").len(), site.waiting("emails").len()), (0, 0));
    let purged = site.run(&["purge", "-f"]).success();
    assert_eq!(purged, "No messages purged from 2 queues.\n");
}

#[test]
fn a_report_shows_the_settings_and_no_password() {
    let site = Site::new(8);
    let url = "redis://celery:hunter2@localhost:6379/0";
    let mut command = site.command(&["report"]);
    command.env("CELERY_BROKER_URL", url).env("CELERY_RESULT_BACKEND", url);
    let report = crate::process::Process::start(&mut command).end().success();
    assert!(report.contains("app      -> mysite\n"), "{report}");
    assert!(report.contains("task_time_limit: 1800"), "{report}");
    assert!(report.contains("redis://celery:**@localhost:6379/0"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}
