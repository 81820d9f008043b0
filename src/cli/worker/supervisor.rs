//! What systemd, or whoever speaks its protocol, is told: `sd_notify`.

use std::{env, time::Duration};

use celery_core::worker::{WorkerHealth, WorkerStage};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
};

/// Tells the supervisor how the worker does, where there is one.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<Socket>,
    health: WorkerHealth,
    stages: watch::Receiver<WorkerStage>,
    watchdog: Option<Interval>,
    /// Whether the worker ends to begin anew.
    pub(super) restarts: bool,
}

impl Supervisor {
    pub(super) fn new(health: WorkerHealth) -> Self {
        let socket =
            env::var_os("NOTIFY_SOCKET").filter(|to| !to.is_empty()).and_then(|to| Socket::to(&to));
        let variable = |name| env::var(name).ok();
        let watchdog = socket.as_ref().and_then(|_| {
            let every = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"))?;
            let mut interval = interval(every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Some(interval)
        });
        let stages = health.stages();
        Self { socket, health, stages, watchdog, restarts: false }
    }

    /// Waits until there is something to tell, and tells it.
    ///
    /// # Cancel safety
    /// Cancel safe: what has been waited for is told in the same step.
    pub(super) async fn tell(&mut self) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        let tick = async {
            match &mut self.watchdog {
                Some(watchdog) => watchdog.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok(()) = self.stages.changed() => {
                let stage = *self.stages.borrow_and_update();
                socket.send(&self.words(stage));
            }
            _ = tick => {
                // A worker that is stuck is to be restarted.
                if self.health.report().not_live.is_none() {
                    socket.send("WATCHDOG=1");
                }
            }
        }
    }

    /// Tells what there was no time for.
    pub(super) fn tell_the_rest(&mut self) {
        if self.stages.has_changed().unwrap_or(false)
            && let Some(socket) = &self.socket
        {
            let stage = *self.stages.borrow_and_update();
            socket.send(&self.words(stage));
        }
    }

    fn words(&self, stage: WorkerStage) -> String {
        match stage {
            WorkerStage::Consuming => "READY=1\nSTATUS=Consuming".to_owned(),
            WorkerStage::Stopping if self.restarts => "RELOADING=1\nSTATUS=Restarting".to_owned(),
            WorkerStage::Stopping => "STOPPING=1\nSTATUS=Stopping".to_owned(),
            stage => {
                let why = self.health.report().not_ready.unwrap_or_default().replace('\n', " ");
                format!("STATUS={}: {why}", stage.as_str())
            }
        }
    }
}

/// How often the watchdog is to hear of us, if it is for this process.
fn watchdog(usec: Option<String>, pid: Option<String>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(std::process::id())) {
        return None;
    }
    let usec: u64 = usec?.parse().ok().filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec) / 2)
}

/// The supervisor's socket.
#[cfg(unix)]
#[derive(Debug)]
struct Socket {
    ours: std::os::unix::net::UnixDatagram,
    theirs: std::os::unix::net::SocketAddr,
}

#[cfg(unix)]
impl Socket {
    /// A path, or `@` and a name that is in no folder.
    fn to(name: &std::ffi::OsStr) -> Option<Self> {
        use std::os::unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        };
        let open = || {
            let theirs = match name.as_bytes() {
                #[cfg(target_os = "linux")]
                [b'@', rest @ ..] => {
                    use std::os::linux::net::SocketAddrExt;
                    SocketAddr::from_abstract_name(rest)?
                }
                _ => SocketAddr::from_pathname(name)?,
            };
            let ours = UnixDatagram::unbound()?;
            ours.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(Self { ours, theirs })
        };
        match open() {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(target: "celery::worker", ?name, %error, "cannot use NOTIFY_SOCKET; the supervisor is told nothing");
                None
            }
        }
    }

    fn send(&self, words: &str) {
        if let Err(error) = self.ours.send_to_addr(words.as_bytes(), &self.theirs) {
            tracing::warn!(target: "celery::worker", %error, words, "the supervisor could not be told");
        }
    }
}

/// Elsewhere nobody speaks the protocol.
#[cfg(not(unix))]
#[derive(Debug)]
struct Socket;

#[cfg(not(unix))]
impl Socket {
    fn to(_: &std::ffi::OsStr) -> Option<Self> {
        None
    }

    fn send(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_told_twice_in_its_time() {
        let text = |text: &str| Some(text.to_owned());
        let half = Some(Duration::from_millis(1_500));
        assert_eq!(watchdog(text("3000000"), None), half);
        assert_eq!(watchdog(text("3000000"), text(&std::process::id().to_string())), half);
        assert_eq!(watchdog(text("3000000"), text("1")), None);
        assert_eq!(watchdog(text("0"), None), None);
        assert_eq!(watchdog(text("soon"), None), None);
        assert_eq!(watchdog(None, None), None);
    }
}
