//! Programs that run workers in their own code, and not by the command line.

use celery::{Celery, ChildProcess, Error, Shutdown, Worker, WorkerOptions};

use peers::{Ledger, Space};

use crate::hazards::{Isolated, IsolatedSend};

fn worker(app: &Celery, name: &str) -> Result<Worker, Error> {
    let options = WorkerOptions {
        hostname: Some(format!("{name}@fleet")),
        queues: Some(vec![name.to_owned()]),
        concurrency: Some(1),
        ..WorkerOptions::default()
    };
    Worker::new(app, options)
}

/// Two workers in one program, each on the queue of its name.
pub(crate) async fn two(app: &Celery) -> Result<(), Error> {
    app.set_current();
    let shutdown = Shutdown::default();
    let (one, two) = (worker(app, "one")?, worker(app, "two")?);
    let (one, two) = tokio::join!(one.run(shutdown.clone()), two.run(shutdown));
    one.and(two)
}

/// A worker that is dropped when the test says so, and then another one.
pub(crate) async fn dropped(app: &Celery) -> Result<(), Error> {
    app.set_current();
    let shutdown = Shutdown::default();
    let (one, two) = (worker(app, "one")?, worker(app, "two")?);
    let settings = std::env::var("FLEET_CONF").expect("a test starts this program");
    let space = Space::of(&serde_json::from_str(&settings).expect("the test writes JSON"));
    if ChildProcess::is_child() {
        let (one, two) = tokio::join!(one.run(shutdown.clone()), two.run(shutdown));
        return one.and(two);
    }
    tokio::select! {
        ended = one.run(Shutdown::default()) => return ended,
        () = space.pass("drop") => {}
    }
    let stop = shutdown.warm.clone();
    let stopping = async {
        space.pass("stop").await;
        stop.cancel();
    };
    tokio::join!(two.run(shutdown), stopping).0
}

/// A program that is its own worker, on a broker inside it; prints what came of its tasks.
pub(crate) async fn embedded() -> Result<(), Error> {
    let app = Celery::builder("embedded")
        .environment_from([])
        .set("worker_proc_alive_timeout", 30)
        .state(crate::hazards::BuiltIn(0))
        .state(Space::at("redis://unused", "unused:"))
        .state(Ledger::of_this_program())
        .build()?;
    app.set_current();
    let worker = worker(&app, "celery")?;
    if ChildProcess::is_child() {
        return worker.run(Shutdown::default()).await;
    }
    let shutdown = Shutdown::default();
    let running = tokio::spawn(worker.run(shutdown.clone()));
    let pid = Isolated::delay().await?.get().await?;
    let sent = IsolatedSend::delay().await?.get().await?;
    print(&format!("isolated: {}", pid != std::process::id()));
    print(&format!("sent: {sent}"));
    shutdown.warm.cancel();
    running.await.expect("the worker does not panic")
}

#[expect(clippy::print_stdout, reason = "the test reads it")]
fn print(line: &str) {
    println!("{line}");
}
