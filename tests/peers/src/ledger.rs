//! What tasks write down of themselves, on a server that no fault reaches, and what a test reads from it.

use std::{collections::BTreeMap, env, fmt, sync::Arc, time::Duration};

use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Script, aio::MultiplexedConnection, cmd,
};
use tokio::{
    sync::{OnceCell, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{LIMIT, service};

/// Where a program finds its ledger: the URL of the server, the key, and who the program is.
const VARIABLES: [&str; 3] = ["FLEET_LEDGER_URL", "FLEET_LEDGER_KEY", "FLEET_LEDGER_WHO"];

/// Writes with the time of the server, so that all entries are of one clock.
const WRITE: &str = "local now = redis.call('TIME') \
    return redis.call('RPUSH', KEYS[1], ARGV[1] .. ' ' .. now[1] .. string.format('%06d', now[2]))";

/// A list into which programs write what they do, in the order in which it happens.
#[derive(Clone, Debug)]
pub struct Ledger {
    url: String,
    key: String,
    who: String,
    connection: Arc<OnceCell<MultiplexedConnection>>,
}

impl Ledger {
    /// A fresh one of a test, on the shared server.
    #[expect(clippy::new_without_default, reason = "each is a new one, which is no default")]
    pub fn new() -> Self {
        let key = format!("ledger-{}", uuid::Uuid::new_v4().simple());
        Self::at(service("CELERY_TEST_REDIS_URL"), key, "test".to_owned())
    }

    fn at(url: String, key: String, who: String) -> Self {
        Self { url, key, who, connection: Arc::default() }
    }

    /// The one of the test that has started this program. Without one, whatever is written is an error.
    pub fn of_this_program() -> Self {
        let [url, key, who] = VARIABLES.map(|name| env::var(name).unwrap_or_default());
        Self::at(url, key, who)
    }

    /// The variables that lead a program to it, under the name by which the program is known.
    pub fn variables(&self, who: &str) -> [(&'static str, String); 3] {
        let [url, key, name] = VARIABLES;
        [(url, self.url.clone()), (key, self.key.clone()), (name, who.to_owned())]
    }

    async fn connection(&self) -> MultiplexedConnection {
        self.connection.get_or_init(|| self.connect()).await.clone()
    }

    /// One for which nothing takes too long: a machine under load is none that has failed.
    async fn connect(&self) -> MultiplexedConnection {
        let client = Client::open(self.url.as_str()).expect("a URL of Redis");
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        connection.expect("the ledger's server answers")
    }

    async fn write(&self, what: &str) {
        let mut connection = self.connection().await;
        let script = Script::new(WRITE);
        let written = script.key(&self.key).arg(what).invoke_async::<u64>(&mut connection).await;
        written.expect("the ledger's server answers");
    }

    /// Says that this program begins the task of that number.
    pub async fn begins(&self, number: u64) {
        self.write(&format!("begin {number} {}", self.who)).await;
    }

    /// Says that this program has come to the end of the task of that number.
    pub async fn ends(&self, number: u64) {
        self.write(&format!("end {number} {}", self.who)).await;
    }

    /// Says that the program of that name is dead.
    pub async fn died(&self, who: &str) {
        self.write(&format!("died 0 {who}")).await;
    }

    /// The time of the clock by which it is written.
    pub async fn now(&self) -> u64 {
        let mut connection = self.connection().await;
        let now: (u64, u64) = ask(&cmd("TIME"), &mut connection).await;
        now.0 * 1_000_000 + now.1
    }

    /// Reads it from here on.
    pub fn follow(&self) -> Book {
        let (told, runs) = watch::channel(Runs::default());
        Book { runs, reader: tokio::spawn(read(self.clone(), told)) }
    }
}

/// Reads for as long as somebody wants to know.
async fn read(ledger: Ledger, told: watch::Sender<Runs>) {
    // One that blocks is told at once of what is written, and nobody else may wait behind it.
    let mut connection = ledger.connect().await;
    loop {
        let mut first = cmd("BLPOP");
        let first: (String, String) = ask(first.arg(&ledger.key).arg(0), &mut connection).await;
        let mut more = cmd("LPOP");
        let more = more.arg(&ledger.key).arg(10_000);
        let more: Option<Vec<String>> = ask(more, &mut connection).await;
        told.send_modify(|runs| {
            for line in [first.1].iter().chain(more.iter().flatten()) {
                runs.note(line);
            }
        });
    }
}

async fn ask<T: FromRedisValue>(command: &Cmd, connection: &mut MultiplexedConnection) -> T {
    command.query_async(connection).await.expect("the ledger's server answers")
}

/// What a ledger says so far.
#[derive(Debug)]
pub struct Book {
    runs: watch::Receiver<Runs>,
    reader: JoinHandle<()>,
}

impl Book {
    /// All runs so far.
    pub fn runs(&self) -> watch::Ref<'_, Runs> {
        self.runs.borrow()
    }

    /// Waits until it holds.
    ///
    /// # Panics
    /// When nothing more is written for [`LIMIT`] before it does.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Runs) -> bool) {
        while !holds(&self.runs.borrow_and_update()) {
            let told = timeout(LIMIT, self.runs.changed()).await;
            assert!(
                matches!(told, Ok(Ok(()))),
                "{what}: nothing more is written: {:?}",
                self.runs()
            );
        }
    }

    /// Waits until all has been read that is written by now.
    ///
    /// # Panics
    /// When it is not within [`LIMIT`].
    pub async fn until_now(&mut self, ledger: &Ledger) {
        ledger.died("nobody").await;
        self.until("all is read", |runs| runs.deaths.contains_key("nobody")).await;
    }

    /// Whether it holds within that time.
    pub async fn holds_within(&mut self, limit: Duration, holds: impl Fn(&Runs) -> bool) -> bool {
        timeout(limit, self.until("it holds", holds)).await.is_ok()
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// One run of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Who ran it.
    pub who: String,
    /// When it began, in microseconds of the server's clock.
    pub began: u64,
    /// When it came to its end, if it did.
    pub ended: Option<u64>,
}

/// All runs of all tasks, and all deaths.
#[derive(Clone, Default)]
pub struct Runs {
    /// The runs of each task, in the order in which they began.
    pub of: BTreeMap<u64, Vec<Run>>,
    /// When each that died did so.
    pub deaths: BTreeMap<String, u64>,
    done: usize,
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = self.of.len();
        write!(f, "{begun} tasks begun, {} done, {} deaths", self.done, self.deaths.len())
    }
}

impl Runs {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, number, who, at] = words[..] else { panic!("a line of four words: {line}") };
        let number = number.parse().expect("a number");
        let at = at.parse().expect("a time");
        match what {
            "begin" => {
                let run = Run { who: who.to_owned(), began: at, ended: None };
                self.of.entry(number).or_default().push(run);
            }
            "end" => {
                let runs = self.of.get_mut(&number).expect("it has begun");
                let is_done = runs.iter().any(|run| run.ended.is_some());
                let run = runs.iter_mut().rev().find(|run| run.who == who && run.ended.is_none());
                run.expect("it has begun").ended = Some(at);
                self.done += usize::from(!is_done);
            }
            "died" => _ = self.deaths.insert(who.to_owned(), at),
            what => panic!("nobody writes {what}"),
        }
    }

    /// How many tasks have come to their end at least once.
    pub fn done(&self) -> usize {
        self.done
    }

    /// How many runs there were beyond one of each task.
    pub fn again(&self) -> usize {
        self.of.values().map(|runs| runs.len() - 1).sum()
    }

    /// Whether that program has run anything.
    pub fn has_run(&self, who: &str) -> bool {
        self.of.values().flatten().any(|run| run.who == who)
    }

    /// Whether the task has come to its end at least once.
    pub fn is_done(&self, number: u64) -> bool {
        self.of.get(&number).is_some_and(|runs| runs.iter().any(|run| run.ended.is_some()))
    }

    /// When a program whose name begins so began a run, the first from that time on.
    pub fn first_after(&self, who: &str, time: u64) -> Option<u64> {
        let of_it = self.of.values().flatten().filter(|run| run.who.starts_with(who));
        of_it.map(|run| run.began).filter(|began| *began >= time).min()
    }
}
