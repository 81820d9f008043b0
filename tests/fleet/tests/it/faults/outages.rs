//! Servers and networks that fail under load, and workers that nobody restarts.

use std::time::Duration;

use peers::{Ledger, Proxy, Runs, Server, Space, Towards};
use tokio::time::Instant;

use super::{
    last,
    load::{Books, Member, send},
    report, seed, size,
};

/// How soon after the end of a fault something new begins.
const RESUMES: u64 = 2_000_000;

/// What befalls the server, or the connections to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ServerKilled,
    ServerStopped,
    ClientsKilled(&'static str),
    ClientsPaused,
    ServerSleeps,
    Cut,
    Refused,
    Stalled(Towards),
    Delayed(Towards),
    Truncated,
    Swallowed,
}

const FAULTS: [Fault; 13] = [
    Fault::ServerKilled,
    Fault::ServerStopped,
    Fault::ClientsKilled("normal"),
    Fault::ClientsKilled("pubsub"),
    Fault::ClientsPaused,
    Fault::ServerSleeps,
    Fault::Cut,
    Fault::Refused,
    Fault::Stalled(Towards::Server),
    Fault::Stalled(Towards::Client),
    Fault::Delayed(Towards::Client),
    Fault::Truncated,
    Fault::Swallowed,
];

impl Fault {
    /// Has it happen, for so long where it lasts.
    async fn strike(self, server: &mut Server, proxy: &Proxy, lasts: Duration) {
        let milliseconds = lasts.as_millis().to_string();
        match self {
            Self::ServerKilled => {
                server.kill();
                last(lasts).await;
                server.resume().await;
            }
            Self::ServerStopped => {
                server.stop().await;
                last(lasts).await;
                server.resume().await;
            }
            Self::ClientsKilled(kind) => {
                server.command::<u64>(&["CLIENT", "KILL", "TYPE", kind]).await;
            }
            Self::ClientsPaused => {
                server.command::<()>(&["CLIENT", "PAUSE", &milliseconds, "ALL"]).await;
                last(lasts).await;
            }
            Self::ServerSleeps => {
                let seconds = lasts.as_secs_f64().to_string();
                server.command::<()>(&["DEBUG", "SLEEP", &seconds]).await;
            }
            Self::Cut => proxy.cut(),
            Self::Refused => {
                proxy.refuse();
                last(lasts).await;
            }
            Self::Stalled(towards) => {
                proxy.stall(towards);
                last(lasts).await;
            }
            Self::Delayed(towards) => {
                proxy.delay(towards, lasts / 10);
                last(lasts).await;
            }
            Self::Truncated => {
                proxy.truncate();
                last(lasts).await;
            }
            Self::Swallowed => {
                proxy.swallow("EVALSHA", 3);
                last(lasts).await;
            }
        }
        proxy.heal();
    }
}

/// One that acknowledges late, and one that acknowledges early.
const WORKERS: [&str; 2] = ["late@faults", "early@faults"];

#[derive(Clone, Copy)]
struct Size {
    rounds: usize,
    longest: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_outlast_what_befalls_their_server_and_lose_and_repeat_nothing() {
    let Size { rounds, longest } =
        size(Size { rounds: FAULTS.len(), longest: 900 }, Size { rounds: 100, longest: 8_000 });
    let (seed, start) = (seed(), Instant::now());
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = Server::start().await;
    let proxy = Proxy::start(server.port()).await;
    let space = Space::at(&server.url(), "faults:");
    let far = space.clone().through(&proxy);
    let (ledger, app) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    let mut workers = [
        Member::new(
            &far.clone().with("task_acks_late", true),
            &ledger,
            WORKERS[0],
            &["-Q", "late", "-c", "4"],
        ),
        Member::new(&far, &ledger, WORKERS[1], &["-Q", "early", "-c", "4"]),
    ];
    let mut sent = 0;
    let mut slowest = 0;
    for round in 0..rounds {
        let fault = FAULTS[round % FAULTS.len()];
        let lasts = Duration::from_millis(random.u64(longest / 3..longest));
        let mut work = |count: u64| -> Vec<(u64, u64)> {
            sent += count;
            (sent - count..sent).map(|number| (number, random.u64(2..12))).collect()
        };
        let (late, early) = (work(120), work(120));
        let first = late[0].0;
        send(&app, "late", late).await;
        send(&app, "early", early).await;
        book.until("the round begins", |runs| runs.of.contains_key(&first)).await;
        fault.strike(&mut server, &proxy, lasts).await;
        let healed = ledger.now().await;
        // What comes after the fault shows that both consume again, also when all else was done before it ended.
        let (late, early) = (work(4), work(4));
        send(&app, "late", late).await;
        send(&app, "early", early).await;
        let begins = |runs: &Runs, who: &str| runs.first_after(who, healed);
        book.until("both consume again", |runs| {
            WORKERS.iter().all(|who| begins(runs, who).is_some())
        })
        .await;
        let begun = WORKERS.map(|who| begins(&book.runs(), who).map_or(0, |began| began - healed));
        let resumed = begun.into_iter().max().unwrap_or(0);
        slowest = slowest.max(resumed);
        assert!(
            resumed < RESUMES,
            "round {round}: {fault:?} of {lasts:?}: {resumed} µs until something new began"
        );
        book.until("the round is done", |runs| runs.done() as u64 == sent).await;
        for worker in &mut workers {
            assert!(!worker.process().is_over(), "{fault:?} ended a worker");
        }
    }
    Books::of(&space).await.emptied().await;
    for worker in &mut workers {
        worker.stop().await;
    }
    book.until_now(&ledger).await;
    let runs = book.runs().clone();
    report(
        "outages",
        &[
            ("seed", seed),
            ("rounds", rounds as u64),
            ("sent", sent),
            ("done", runs.done() as u64),
            ("executed more than once", runs.again() as u64),
            ("lost", sent - runs.done() as u64),
            ("restarts", 0),
            ("milliseconds until consumption resumed, at most", slowest / 1000),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    let again: Vec<_> = runs.of.iter().filter(|(_, runs)| runs.len() > 1).collect();
    assert!(again.is_empty(), "run again, though no worker was silent for long: {again:?}");
}
