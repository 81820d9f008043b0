//! What a worker has done, and what it uses.

use std::time::Duration;

use serde_json::{Number, json};
use url::Url;

use super::super::{command::Answer, panel::Panel};
use crate::{
    app::Celery,
    arguments::Bound,
    value::{Map, Value, number, to_value},
};

/// All that Celery tells of a worker, in its shape.
pub(in super::super) async fn stats(panel: &Panel, _: Bound) -> Answer {
    let node = &panel.node;
    let total: Map =
        node.requests.totals().into_iter().map(|(task, of)| (task.to_owned(), of.into())).collect();
    let mut stats = json!({
        "total": total,
        "pid": std::process::id(),
        "clock": node.app.clock().value().to_string(),
        "uptime": node.began.elapsed().as_secs(),
        "pool": node.pool_info(),
        "broker": broker(&node.app),
        "prefetch_count": node.intake.now().prefetch.map_or(0, std::num::NonZeroU32::get),
        "rusage": rusage().unwrap_or_else(|| "N/A".into()),
    });
    if let Some(autoscaler) = node.autoscaler_info() {
        stats["autoscaler"] = autoscaler;
    }
    Ok(Some(stats))
}

/// A time in seconds; zero is none.
fn seconds(of: Option<Duration>) -> Number {
    number::seconds(of.unwrap_or_default().as_secs_f64())
}

/// Where the broker is; no password is in it.
fn broker(app: &Celery) -> Value {
    let config = &app.config().broker;
    let urls = app.broker_urls();
    let scheme = urls.first().map_or("memory", |url| url.scheme());
    let parsed = urls.first().and_then(|url| Url::parse(url.expose()).ok());
    let user = parsed.as_ref().map(Url::username).filter(|user| !user.is_empty());
    let path = parsed.as_ref().map(|url| url.path().trim_start_matches('/').to_owned());
    let ssl = matches!(scheme, "rediss" | "amqps") || config.use_ssl.is_some();
    json!({
        "hostname": parsed.as_ref().and_then(Url::host_str),
        "userid": user,
        "virtual_host": path.filter(|path| !path.is_empty()).unwrap_or_else(|| if scheme.starts_with("redis") { "0" } else { "/" }.to_owned()),
        "port": parsed.as_ref().and_then(|url| url.port().or_else(|| scheme.starts_with("redis").then_some(6379))),
        "insist": false,
        "ssl": ssl,
        "transport": scheme,
        "connect_timeout": seconds(config.connection_timeout),
        "transport_options": to_value(&config.transport_options).unwrap_or_default(),
        "login_method": null,
        "uri_prefix": null,
        "heartbeat": 120.0,
        "failover_strategy": "round-robin",
        "alternates": urls.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>(),
        "credential_provider": null,
    })
}

/// What the process has used, as `getrusage` tells: from `/proc`, or nothing where there is none.
fn rusage() -> Option<Value> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    // The kernel tells the blocks of a process to itself, unless it is confined.
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    usage(&stat, &status, &io)
}

fn usage(stat: &str, status: &str, io: &str) -> Option<Value> {
    /// How often a second the kernel counts, for programs: the same on every machine.
    const TICKS: f64 = 100.0;
    const BLOCK: u64 = 512;
    // The name of the program is in parentheses, and may have any in it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok().map(|ticks| ticks / TICKS);
    let count = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let named = |text: &str, name: &str| -> Option<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().trim_end_matches("kB").trim().parse().ok()
    };
    Some(json!({
        "utime": ticks(11)?,
        "stime": ticks(12)?,
        "maxrss": named(status, "VmHWM")?,
        "ixrss": 0,
        "idrss": 0,
        "isrss": 0,
        "minflt": count(7)?,
        "majflt": count(9)?,
        "nswap": 0,
        "inblock": named(io, "read_bytes").unwrap_or(0) / BLOCK,
        "oublock": named(io, "write_bytes").unwrap_or(0) / BLOCK,
        "msgsnd": 0,
        "msgrcv": 0,
        "nsignals": 0,
        "nvcsw": named(status, "voluntary_ctxt_switches")?,
        "nivcsw": named(status, "nonvoluntary_ctxt_switches")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read_whatever_the_program_is_called() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 3 0 150 25 0 0 20 0 4 0 12345 1 2";
        let status = "Name:\ta\nVmHWM:\t   5000 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n";
        let usage = usage(stat, status, "read_bytes: 1024\nwrite_bytes: 4096\n").unwrap();
        assert_eq!(usage["utime"], 1.5);
        assert_eq!(usage["stime"], 0.25);
        assert_eq!(usage["minflt"], 100);
        assert_eq!(usage["majflt"], 3);
        assert_eq!(usage["maxrss"], 5000);
        assert_eq!((&usage["inblock"], &usage["oublock"]), (&json!(2), &json!(8)));
        assert_eq!((&usage["nvcsw"], &usage["nivcsw"]), (&json!(7), &json!(8)));
    }
}
