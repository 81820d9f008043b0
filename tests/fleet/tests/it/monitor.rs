//! The terminal view of `celery events`, in a terminal.

use std::process::{Command, Stdio};

use celery::Celery;
use peers::{LIMIT, Space, service};
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::harness::{call, worker};

/// A terminal of 120 columns and 30 lines that nobody sees.
struct Terminal {
    /// The name of its server, which no other test has.
    name: String,
}

impl Terminal {
    /// Runs our program in a shell, which tells how it exits and what is then left of the terminal.
    fn start(space: &Space, arguments: &str) -> Self {
        let terminal = Self { name: format!("celery-{}", Uuid::new_v4().simple()) };
        let script = format!(
            "echo the shell was here; {} {arguments}; echo exited with $?; stty -a; exec cat",
            env!("CARGO_BIN_EXE_fleet")
        );
        let mut tmux =
            terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "30"]);
        tmux.arg(script).env("FLEET_CONF", space.settings()).env("LC_ALL", "C.UTF-8");
        assert!(tmux.status().expect("tmux was found").success());
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut tmux = Command::new(service("CELERY_TEST_TMUX"));
        tmux.args(["-u", "-L", &self.name]).args(arguments).stdin(Stdio::null());
        tmux
    }

    fn press(&self, keys: &[&str]) {
        assert!(self.tmux(&["send-keys"]).args(keys).status().expect("tmux was found").success());
    }

    fn screen(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]).output().expect("tmux was found");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until all of that is on the screen; returns it.
    async fn shows(&self, parts: &[&str]) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let screen = self.screen();
            if parts.iter().all(|part| screen.contains(part)) {
                return screen;
            }
            let rest = timeout_at(end, tokio::task::yield_now()).await;
            assert!(
                rest.is_ok() && Instant::now() < end,
                "{parts:?} never came on the screen:\n{screen}"
            );
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where it has ended there is nobody to end.
        let _gone = self.tmux(&["kill-server"]).stderr(Stdio::null()).status();
    }
}

async fn done(app: &Celery, task: &str, args: serde_json::Value) -> String {
    let result = call(app, task, args).await;
    let _ended_in_whatever_way = result.get().await;
    result.id().to_owned()
}

#[tokio::test]
async fn the_terminal_view_shows_tasks_and_acts_on_them() {
    let space = Space::new();
    let app = space.app();
    let _worker = worker(&space, &["-E", "-c", "2", "-n", "w1@box"]).await;
    let terminal = Terminal::start(&space, "events");
    terminal.shows(&["No task selected", "Workers online: w1@box", "workers:1/1"]).await;

    let added = done(&app, "fleet.add", json!([2, 3])).await;
    terminal.shows(&[&added, "fleet.add", "w1@box", "SUCCESS", "tasks:1"]).await;
    terminal.press(&["j"]);
    terminal.shows(&["Selected: ", "args=(2, 3)", "result=5"]).await;
    terminal.press(&["i"]);
    terminal
        .shows(&[
            &format!("Task details for {added}"),
            "args: (2, 3)",
            "state: SUCCESS",
            "Press any key",
        ])
        .await;
    terminal.press(&["Space"]);
    terminal.shows(&["Keys: "]).await;
    terminal.press(&["r"]);
    let page = terminal.shows(&[&format!("Task Result for {added}")]).await;
    assert!(page.lines().any(|line| line.trim() == "5"), "{page}");
    terminal.press(&["Space"]);
    terminal.shows(&["Keys: "]).await;

    terminal.press(&["l"]);
    terminal.shows(&["New rate limit: _"]).await;
    terminal.press(&["100/m", "Enter"]);
    terminal
        .shows(&["Remote Control Command Replies", "w1@box: new rate limit set successfully"])
        .await;
    terminal.press(&["Space"]);

    // The last one is on top, so that moving up from the first selects it.
    let held = call(&app, "fleet.hold", json!(["held"])).await;
    space.entered("held").await;
    terminal.shows(&[held.id(), "STARTED", "Keys: "]).await;
    terminal.press(&["k"]);
    terminal.shows(&["args=('held',)"]).await;
    terminal.press(&["c"]);
    terminal
        .shows(&[
            "Remote Control Command Replies",
            &format!("w1@box: tasks {{'{}'}} flagged as revoked", held.id()),
        ])
        .await;
    terminal.press(&["Escape"]);
    space.open("held").await;

    let failed = done(&app, "fleet.add", json!([1])).await;
    terminal.shows(&[&failed, "FAILURE"]).await;
    terminal.press(&["k"]);
    terminal.shows(&["exception=TypeError("]).await;
    terminal.press(&["t"]);
    terminal.shows(&[&format!("Task Exception Traceback for {failed}"), "TypeError"]).await;
    terminal.press(&["Space"]);
    terminal.shows(&["Keys: "]).await;
    terminal.press(&["q"]);
    let left = terminal.shows(&["exited with 0", "icanon"]).await;
    assert!(left.starts_with("the shell was here"), "the screen is as it was:\n{left}");
    assert!(
        left.contains(" echo ") && left.contains(" icanon "),
        "the terminal is as it was:\n{left}"
    );
}

#[tokio::test]
async fn ctrl_c_leaves_the_terminal_view_too() {
    let space = Space::new();
    let terminal = Terminal::start(&space, "events");
    terminal.shows(&["No workers discovered."]).await;
    terminal.press(&["C-c"]);
    terminal.shows(&["exited with 0"]).await;
}
