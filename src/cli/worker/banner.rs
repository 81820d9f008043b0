//! What a worker shows when it starts.

use celery_core::{
    app::Celery,
    broker::{ExchangeKind, Queue},
    clock,
    error::Error,
    worker::{Autoscale, Worker},
};
use jiff::tz::TimeZone;

use super::platform;

const ART: [&str; 12] = [
    " --------------",
    "--- ***** -----",
    "-- ******* ----",
    "- *** --- * ---",
    "- ** ----------",
    "- ** ----------",
    "- ** ----------",
    "- ** ----------",
    "- *** --- * ---",
    "-- ******* ----",
    "--- ***** -----",
    " --------------",
];

/// Celery's banner, with the tasks that the worker has.
pub(super) fn banner(app: &Celery, worker: &Worker) -> Result<String, Error> {
    let config = app.config();
    let transport: Vec<_> = app.broker_urls().iter().map(ToString::to_string).collect();
    let results = config
        .result
        .backend
        .as_ref()
        .map_or_else(|| "disabled://".to_owned(), ToString::to_string);
    let pool = config.worker.pool.name();
    let now = clock::now().to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let mut lines = vec![
        format!("{} v{} (rust)", worker.hostname(), env!("CARGO_PKG_VERSION")),
        String::new(),
        format!("{}-{}-{} {now}", platform::system(), platform::kernel(), std::env::consts::ARCH),
        String::new(),
        "[config]".to_owned(),
        format!(".> app:         {}", app.name()),
        format!(".> transport:   {}", transport.join(";")),
        format!(".> results:     {results}"),
        format!(".> concurrency: {} ({pool})", concurrency(worker)),
        format!(".> task events: {}", task_events(worker)),
        String::new(),
        "[queues]".to_owned(),
    ];
    let mut queues: Vec<_> = worker.queues().iter().collect();
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    lines.extend(queues.into_iter().map(queue_line));
    lines.push(String::new());
    let mut banner = String::from(" \n");
    for (at, line) in lines.iter().enumerate() {
        let art = ART.get(at).map_or_else(|| " ".repeat(15), |&art| art.to_owned());
        banner.push_str(&format!("{art} {line}\n"));
    }
    banner.push_str("\n[tasks]\n");
    for name in app.registry()?.names() {
        banner.push_str(&format!("  . {name}\n"));
    }
    Ok(banner)
}

fn task_events(worker: &Worker) -> &'static str {
    if worker.sends_task_events() {
        "ON"
    } else {
        "OFF (enable -E to monitor tasks in this worker)"
    }
}

/// How many tasks run at once, or between which numbers that is chosen.
fn concurrency(worker: &Worker) -> String {
    match worker.autoscale() {
        Some(Autoscale { max, min }) => format!("{{min={min}, max={max}}}"),
        None => worker.concurrency().to_string(),
    }
}

fn queue_line(queue: &Queue) -> String {
    let kind = match queue.exchange.kind {
        ExchangeKind::Direct => "direct",
        ExchangeKind::Topic => "topic",
        ExchangeKind::Fanout => "fanout",
    };
    format!(
        ".> {:<16} exchange={}({kind}) key={}",
        queue.name, queue.exchange.name, queue.routing_key
    )
}

#[cfg(test)]
mod tests {
    use celery_core::worker::WorkerOptions;

    use super::*;

    #[test]
    fn the_banner_says_what_celerys_says_and_hides_passwords() {
        let app = Celery::builder("proj")
            .environment_from([])
            .broker("redis://:secret@localhost:6379/0")
            .build()
            .unwrap();
        let options = WorkerOptions {
            hostname: Some("w1@host".to_owned()),
            queues: Some(vec!["slow".to_owned(), "celery".to_owned()]),
            concurrency: Some(3),
            ..WorkerOptions::default()
        };
        let worker = Worker::new(&app, options).unwrap();
        let banner = banner(&app, &worker).unwrap();
        let lines: Vec<_> = banner.lines().collect();
        assert_eq!(
            lines[1],
            format!(" -------------- w1@host v{} (rust)", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(lines[2], "--- ***** ----- ");
        assert_eq!(lines[6], "- ** ---------- .> app:         proj");
        assert_eq!(lines[7], "- ** ---------- .> transport:   redis://:**@localhost:6379/0");
        assert_eq!(lines[8], "- ** ---------- .> results:     disabled://");
        assert_eq!(lines[9], "- *** --- * --- .> concurrency: 3 (async)");
        assert_eq!(
            lines[10],
            "-- ******* ---- .> task events: OFF (enable -E to monitor tasks in this worker)"
        );
        assert_eq!(lines[12], " -------------- [queues]");
        assert_eq!(
            lines[13],
            "                .> celery           exchange=celery(direct) key=celery"
        );
        assert_eq!(lines[14], "                .> slow             exchange=slow(direct) key=slow");
        assert_eq!(lines[17], "[tasks]");
    }
}
