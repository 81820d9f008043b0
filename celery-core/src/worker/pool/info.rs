//! The pool as remote control shows it.

use std::time::Duration;

use serde_json::json;

use crate::{config::WorkerPool, value::Value, worker::node::Node};

impl Node {
    /// The pool as the `stats` command shows it.
    pub(in crate::worker) fn pool_info(&self) -> Value {
        let (kind, pids) = (self.pool.kind, self.pool.children.pids());
        let own = || vec![std::process::id()];
        let seconds =
            |limit: Option<Duration>| limit.map_or(json!(0), |limit| json!(limit.as_secs_f64()));
        let mut info = json!({
            "implementation": format!("celery_core.worker:{}", kind.name()),
            "max-concurrency": self.slots.count(),
            "processes": if kind == WorkerPool::Prefork { pids } else { [own(), pids].concat() },
            "max-tasks-per-child": self.pool.children.rules().max_tasks.map_or(json!("N/A"), Value::from),
            "put-guarded-by-semaphore": true,
            "timeouts": [seconds(self.soft_time_limit), seconds(self.time_limit)],
        });
        info["writes"] = match kind {
            WorkerPool::Prefork => writes(&self.pool.children.written(), self.requests.active()),
            WorkerPool::Async | WorkerPool::Solo => json!("N/A"),
        };
        info
    }
}

/// How many tasks each child was given, as Celery shows it.
fn writes(given: &[u64], active: usize) -> Value {
    let total: u64 = given.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a part, of which two digits are shown")]
    let part =
        |of: f64| if total == 0 { "0.00".to_owned() } else { format!("{:.2}", of / total as f64) };
    #[expect(clippy::cast_precision_loss, reason = "a part, of which two digits are shown")]
    let average = total as f64 / given.len().max(1) as f64;
    let all: Vec<_> = given.iter().map(|&given| part(given as f64)).collect();
    let raw: Vec<_> = given.iter().map(u64::to_string).collect();
    json!({
        "total": total,
        "avg": part(average),
        "all": all.join(", "),
        "raw": raw.join(", "),
        "strategy": "fair",
        "inqueues": { "total": given.len(), "active": active },
    })
}
