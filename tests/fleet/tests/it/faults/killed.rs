//! Workers that are killed at random, and what becomes of what they held.

use std::{ops::Range, time::Duration};

use peers::{Ledger, Proxy, Run, Runs, Space};
use tokio::time::Instant;

use super::{
    load::{Books, Member, send},
    report, seed, size,
};

/// How many tasks run at once in each worker.
const SLOTS: u64 = 8;

/// How many messages are out for each slot, as `worker_prefetch_multiplier` has it.
const PREFETCHED: u64 = 4;

/// What of a task's message cannot have been acknowledged when its worker was killed: the settlement was under way.
const UNDER_WAY: u64 = 1_000_000;

struct Size {
    tasks: u64,
    kills: u32,
    every: Duration,
}

/// What was counted of tasks that are acknowledged late.
#[derive(Debug, Default)]
struct Late {
    lost: Vec<u64>,
    /// Runs that their worker's death has ended.
    broken_off: u64,
    /// Runs that had come to their end, and whose message had not been acknowledged yet.
    unacknowledged: u64,
    /// Runs of Python's worker that is stopped in order, and leaves messages of what it has done.
    left_by_python: u64,
}

/// Counts what became of these tasks, and expects of each run beyond one that it was begun when the worker of the one
/// before was dead.
fn late(runs: &Runs, tasks: Range<u64>, python: Python) -> Late {
    let mut counted = Late::default();
    for number in tasks {
        if !runs.is_done(number) {
            counted.lost.push(number);
        }
        let of_it: &[Run] = runs.of.get(&number).map_or(&[], Vec::as_slice);
        for two in of_it.windows(2) {
            // While it stops it does not acknowledge what it has done, which may take it longer than the visibility timeout.
            if python == Python::Stopped && two[0].who.starts_with("four") {
                counted.left_by_python += 1;
                continue;
            }
            let died = runs.deaths.get(&two[0].who);
            assert!(
                died.is_some_and(|died| *died <= two[1].began),
                "task {number} was run again while its worker lived: {of_it:?}"
            );
            let died = died.expect("it died");
            match two[0].ended {
                None => counted.broken_off += 1,
                Some(ended) => {
                    counted.unacknowledged += 1;
                    let after = died.saturating_sub(ended);
                    assert!(
                        after < UNDER_WAY,
                        "task {number} was run again, and had been done for {after} µs: {of_it:?}"
                    );
                }
            }
        }
    }
    counted
}

/// Counts the tasks that were lost, and expects of each that it was to run, or ran, when its worker died.
fn early(runs: &Runs, tasks: Range<u64>) -> u64 {
    let mut lost = 0;
    for number in tasks {
        if runs.is_done(number) {
            assert_eq!(runs.of[&number].len(), 1, "task {number} was acknowledged, and run again");
            continue;
        }
        lost += 1;
        if let Some(run) = runs.of.get(&number).and_then(|runs| runs.first()) {
            assert!(runs.deaths.contains_key(&run.who), "task {number} was broken off: {run:?}");
        }
    }
    lost
}

/// A worker of Python's that takes late tasks too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Python {
    Absent,
    /// It is stopped and started as people do.
    Stopped,
    Killed,
}

async fn tasks_survive(scenario: &str, python: Python) {
    let Size { tasks, kills, every } = size(
        Size { tasks: 4_000, kills: 12, every: Duration::from_millis(300) },
        Size { tasks: 50_000, kills: 60, every: Duration::from_secs(1) },
    );
    let (seed, start) = (seed(), Instant::now());
    let mut random = fastrand::Rng::with_seed(seed);
    let space = Space::new()
        .with_transport_option("worker_timeout", 3)
        .with_transport_option("visibility_timeout", 10)
        .with_transport_option("unacked_restore_interval", 1);
    let (ledger, app) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    let (late_numbers, early_numbers) = (0..tasks * 2 / 3, tasks * 2 / 3..tasks);
    let mut work = |numbers: &Range<u64>| -> Vec<(u64, u64)> {
        numbers.clone().map(|number| (number, random.u64(0..20))).collect()
    };
    let (late_work, early_work) = (work(&late_numbers), work(&early_numbers));
    let ids = send(&app, "late", late_work).await;
    send(&app, "early", early_work).await;

    let slots = SLOTS.to_string();
    let acks_late = space.clone().with("task_acks_late", true);
    // Python is told everything by way of a proxy, so that it can be said what it was told.
    let proxy = Proxy::start(port(&space)).await;
    proxy.keep();
    let mut pythons = Vec::new();
    if python != Python::Absent {
        let space = acks_late.clone().through(&proxy);
        let line = ["-Q", "late", "-P", "prefork", "-c", "2"];
        let worker = Member::python(&space, &ledger, "four@late", &line);
        // The others might be done with everything before it has started.
        book.until("Python runs something", |runs| runs.has_run(&worker.who())).await;
        pythons.push(worker);
    }
    let mut workers = vec![
        Member::new(&acks_late, &ledger, "one@late", &["-Q", "late", "-c", &slots]),
        Member::new(&acks_late, &ledger, "two@late", &["-Q", "late", "-c", &slots]),
        Member::new(&space, &ledger, "three@early", &["-Q", "early", "-c", &slots]),
    ];
    workers.extend(pythons);
    let all_late = |runs: &Runs| late_numbers.clone().all(|number| runs.is_done(number));
    let mut ended = vec![0; workers.len()];
    let ready = |runs: &Runs| workers.iter().all(|worker| runs.has_run(&worker.who()));
    book.until("each worker runs something", ready).await;
    for _ in 0..kills {
        if book.holds_within(every, all_late).await {
            break;
        }
        let victim = random.usize(0..workers.len());
        if python == Python::Stopped {
            workers[PYTHON].start_if_over().await;
        }
        ended[victim] += 1;
        if victim == PYTHON && python == Python::Stopped {
            // It takes its time.
            workers[PYTHON].ask_to_stop().await;
        } else {
            workers[victim].kill().await;
            workers[victim].start();
        }
    }
    let mut books = Books::of(&space).await;
    books.emptied().await;
    for worker in &mut workers {
        worker.stop().await;
    }
    book.until_now(&ledger).await;

    let runs = book.runs().clone();
    let counted = late(&runs, late_numbers.clone(), python);
    let early_lost = early(&runs, early_numbers);
    report(
        scenario,
        &[
            ("seed", seed),
            ("sent", tasks),
            ("done", runs.done() as u64),
            ("executed more than once", runs.again() as u64),
            ("of those broken off", counted.broken_off),
            ("of those not acknowledged yet", counted.unacknowledged),
            ("of those left by Python", counted.left_by_python),
            ("late lost", counted.lost.len() as u64),
            ("early lost", early_lost),
            ("restarts", workers.iter().map(|worker| u64::from(worker.restarts())).sum()),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    let pythons = ended.get(PYTHON).copied().unwrap_or(0);
    assert!(counted.lost.len() as u64 <= pythons, "{:?} are lost", counted.lost);
    for number in &counted.lost {
        // kombu takes one message at a time, and writes it down in a step of its own: one that is told to stop in between
        // loses it as one that is killed does.
        assert!(!runs.of.contains_key(number), "task {number} was begun, and lost");
        let id = &ids[usize::try_from(*number).expect("few tasks")];
        assert!(proxy.has_told(id), "task {number} is lost, and Python never had it");
    }
    assert_eq!(books.successes(&ids).await, ids.len() - counted.lost.len(), "all are stored");
    // A run that has come to its end has given its slot away; no more messages are out than are prefetched.
    let kills = ended[0] + ended[1] + pythons;
    assert!(counted.broken_off <= kills * SLOTS, "{counted:?}");
    assert!(counted.unacknowledged <= kills * SLOTS * PREFETCHED, "{counted:?}");
    assert!(early_lost <= ended[EARLY] * SLOTS, "{early_lost} early tasks were lost");
}

/// Which of the workers they are.
const EARLY: usize = 2;
const PYTHON: usize = 3;

fn port(space: &Space) -> u16 {
    let port = space.url().rsplit(':').next().and_then(|end| end.split('/').next());
    port.and_then(|port| port.parse().ok()).expect("the url is redis://host:port/0")
}

#[tokio::test(flavor = "multi_thread")]
async fn late_tasks_survive_workers_that_are_killed_and_only_what_ran_runs_again() {
    tasks_survive("workers killed", Python::Absent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_tasks_survive_beside_a_python_worker_that_is_stopped_and_started() {
    tasks_survive("workers killed, Python stopped", Python::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_with_a_python_worker_that_is_killed_was_in_its_hands() {
    tasks_survive("workers killed, Python too", Python::Killed).await;
}
