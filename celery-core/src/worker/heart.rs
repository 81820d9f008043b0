//! Says that the worker lives, and sends its events.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::{Heartbeat, node::Node};
use crate::events::Fields;

/// Says that the worker is there, before it tells of anything else. What is returned sends its events until it stops:
/// that it lives, and at last that it is gone.
pub(super) fn start(
    node: Arc<Node>,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    if let Heartbeat::Every(interval) = heartbeat {
        node.events.send("worker-online", |event| vital_signs(&node, interval, event));
    }
    tell(node, heartbeat, stop)
}

async fn tell(node: Arc<Node>, heartbeat: Heartbeat, stop: CancellationToken) {
    let no_more = CancellationToken::new();
    let beating = async {
        match heartbeat {
            Heartbeat::Every(interval) => beat(&node, interval, &stop).await,
            Heartbeat::Never => stop.cancelled().await,
        }
        no_more.cancel();
    };
    tokio::join!(beating, node.events.run(no_more.clone()));
}

async fn beat(node: &Node, interval: Duration, stop: &CancellationToken) {
    let send = |kind| node.events.send(kind, |event| vital_signs(node, interval, event));
    // An interval of nothing is a mistake that is not worth a worker.
    let every = interval.max(Duration::from_millis(100));
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // What a worker said of itself during an outage is of no use to anybody afterwards.
            _ = ticks.tick() => if !node.events.is_cut_off() {
                send("worker-heartbeat");
                node.app.listeners().tell("heartbeat_sent", |it| it.heartbeat_sent(&node.hostname));
            },
            () = stop.cancelled() => break,
        }
    }
    send("worker-offline");
}

fn vital_signs(node: &Node, interval: Duration, event: &mut Fields) {
    event
        .add("freq", interval.as_secs_f64())
        .add("active", node.requests.active())
        .add("processed", node.requests.processed())
        .add("loadavg", load_average());
    software(event);
}

/// What the worker is: its name, its version, and the system that it runs on.
pub(super) fn software(event: &mut Fields) {
    let system = match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        "windows" => "Windows",
        other => other,
    };
    event
        .add("sw_ident", "celery-rs")
        .add("sw_ver", env!("CARGO_PKG_VERSION"))
        .add("sw_sys", system);
}

/// How busy the machine was in the last minute, five and fifteen: zeros where the system does not say it as Linux does.
fn load_average() -> [f64; 3] {
    let said = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = said.split(' ').map(|number| number.parse().unwrap_or_default());
    std::array::from_fn(|_| numbers.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_load_is_that_of_the_machine() {
        let said = std::fs::read_to_string("/proc/loadavg").unwrap();
        let fifteen: f64 = said.split(' ').nth(2).unwrap().parse().unwrap();
        assert!((load_average()[2] - fifteen).abs() < 1.0);
    }
}
