//! Bare loops: the Redis commands of each row and nothing else, on one connection of the same client library.
//!
//! Nothing is decoded, and messages, documents and keys are made beforehand. Each runs on a thread of its own, which
//! leaves the other core to the server.

use std::{process::Stdio, sync::Arc};

use deadpool_redis::redis::{Cmd, Pipeline, Script, Value, aio::MultiplexedConnection, cmd, pipe};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use crate::{
    Outcome,
    messages::{self, Message, Results},
    space::{QUEUE, Space},
    tasks::{self, SLEEP},
};

/// The first word of the command line of the process that answers round trips.
pub(crate) const ROLE: &str = "responder";

/// The hash, the sorted set, and the pending list.
const BOOKS: [&str; 3] = ["unacked", "unacked_index", "pending"];

/// How messages are recorded that are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Books {
    /// Each in kombu's hash and sorted set.
    Kombu,
    /// In a list of the worker's own.
    OwnList,
}

impl Books {
    /// KEYS: the queue, then [`BOOKS`]; ARGV: how many at most, and the time. Returns a flat list of tag and item.
    fn fetch(self) -> Script {
        Script::new(match self {
            Self::Kombu => {
                r#"
                local items = redis.call('RPOP', KEYS[1], ARGV[1]) or {}
                local entries, scores, taken = {}, {}, {}
                for i, item in ipairs(items) do
                    local tag = string.match(item, '"delivery_tag": "([^"]+)"')
                    entries[2 * i - 1], entries[2 * i] = tag, '[' .. item .. ', "", "bench"]'
                    scores[2 * i - 1], scores[2 * i] = ARGV[2], tag
                    taken[2 * i - 1], taken[2 * i] = tag, item
                end
                if #items > 0 then
                    redis.call('HSET', KEYS[2], unpack(entries))
                    redis.call('ZADD', KEYS[3], unpack(scores))
                end
                return taken
                "#
            }
            Self::OwnList => {
                r"
                local items = redis.call('RPOP', KEYS[1], ARGV[1]) or {}
                if #items > 0 then
                    redis.call('LPUSH', KEYS[4], unpack(items))
                end
                return items
                "
            }
        })
    }

    /// Strikes out what the last fetch brought.
    fn settle(self, keys: &[String], taken: &[Value], pipeline: &mut Pipeline) {
        match self {
            Self::Kombu => {
                let [mut hash, mut index] = [cmd("HDEL"), cmd("ZREM")];
                hash.arg(&keys[1]);
                index.arg(&keys[2]);
                for tag in taken.iter().step_by(2) {
                    if let Value::BulkString(tag) = tag {
                        hash.arg(tag);
                        index.arg(tag);
                    }
                }
                pipeline.add_command(hash).ignore().add_command(index).ignore();
            }
            Self::OwnList => {
                let kept = -1 - isize::try_from(taken.len()).unwrap_or(isize::MAX);
                pipeline.cmd("LTRIM").arg(&keys[3]).arg(0).arg(kept).ignore();
            }
        }
    }

    /// How many values of a reply are one message.
    fn width(self) -> usize {
        if self == Self::Kombu { 2 } else { 1 }
    }
}

/// Takes all of the messages in batches, each settled in the round trip that takes the next; returns how many a second.
pub(crate) async fn drain(
    space: &Space,
    books: Books,
    results: Results,
    batch: usize,
    messages: Vec<Message>,
) -> Outcome<f64> {
    alone(space, move |space, mut redis| async move {
        messages::push(&mut redis, &space.key(QUEUE), &messages).await?;
        let keys: Vec<String> = [QUEUE].iter().chain(&BOOKS).map(|name| space.key(name)).collect();
        let stored: Vec<(String, String)> = match results {
            Results::Kept => messages.iter().map(|message| stored(&space, &message.id)).collect(),
            Results::Ignored => Vec::new(),
        };
        let script = books.fetch();
        script.load_async(&mut redis).await?;
        let mut fetch = cmd("EVALSHA");
        fetch.arg(script.get_hash()).arg(keys.len()).arg(&keys).arg(batch).arg(1_700_000_000);
        let (mut taken, mut done) = (Vec::<Value>::new(), 0);
        let began = Instant::now();
        while done < messages.len() {
            let mut pipeline = pipe();
            let settled = taken.len() / books.width();
            if settled > 0 {
                for (key, document) in stored.iter().skip(done).take(settled) {
                    pipeline.add_command(set(key, document)).ignore();
                    pipeline.cmd("PUBLISH").arg(key).arg(document).ignore();
                }
                books.settle(&keys, &taken, &mut pipeline);
                done += settled;
            }
            pipeline.add_command(fetch.clone());
            (taken,) = pipeline.query_async(&mut redis).await?;
        }
        Ok(messages.len() as f64 / began.elapsed().as_secs_f64())
    })
    .await
}

/// The key and the document of a result.
fn stored(space: &Space, id: &str) -> (String, String) {
    let document = format!(
        r#"{{"status": "SUCCESS", "result": null, "traceback": null, "children": [], "date_done": "2026-01-01T00:00:00.000000+00:00", "task_id": "{id}"}}"#
    );
    (space.key(&format!("celery-task-meta-{id}")), document)
}

fn set(key: &str, document: &str) -> Cmd {
    cmd("SETEX").arg(key).arg(86_400).arg(document).to_owned()
}

/// How messages are pushed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pushing {
    /// That many at the same time, each waited for.
    AtOnce(usize),
    /// A thousand in a pipeline.
    Pipelined,
}

/// Pushes the messages; returns how many a second.
pub(crate) async fn push(space: &Space, how: Pushing, messages: Vec<Message>) -> Outcome<f64> {
    alone(space, move |space, mut redis| async move {
        let (queue, count): (Arc<str>, _) = (space.key(QUEUE).into(), messages.len());
        let began = Instant::now();
        match how {
            Pushing::Pipelined => messages::push(&mut redis, &queue, &messages).await?,
            Pushing::AtOnce(callers) => {
                let messages = Arc::new(messages);
                let call = |caller| {
                    let (queue, messages) = (Arc::clone(&queue), Arc::clone(&messages));
                    let mut redis = redis.clone();
                    async move {
                        for message in messages.iter().skip(caller).step_by(callers) {
                            let mut push = cmd("LPUSH");
                            push.arg(&*queue).arg(&message.bytes);
                            push.query_async::<()>(&mut redis).await?;
                        }
                        Outcome::Ok(())
                    }
                };
                let calling: Vec<_> =
                    (0..callers).map(|caller| tokio::spawn(call(caller))).collect();
                for called in calling {
                    called.await??;
                }
            }
        }
        Ok(count as f64 / began.elapsed().as_secs_f64())
    })
    .await
}

/// A process that answers each message with a result.
#[derive(Debug)]
pub(crate) struct Responder {
    _child: Child,
}

impl Responder {
    pub(crate) fn start(space: &Space) -> Outcome<Self> {
        let (key, document) = stored(space, "bare");
        let child = Command::new(std::env::current_exe()?)
            .args([ROLE, space.url(), &space.key(QUEUE), &key, &document])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { _child: child })
    }
}

/// The responder's side: takes a message, stores a result and tells of it.
pub(crate) fn respond() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let [url, queue, key, document] = words.as_slice() else { return Err("four words".into()) };
    // Nothing is written to it: it ends with whoever holds it.
    std::thread::spawn(|| {
        let _ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    current_thread()?.block_on(async {
        let mut redis = Space::connect_to(url).await?;
        let wait = cmd("BRPOP").arg(queue).arg(0).to_owned();
        let mut answer = pipe();
        answer.add_command(set(key, document)).cmd("PUBLISH").arg(key).arg(document);
        loop {
            wait.query_async::<Value>(&mut redis).await?;
            answer.query_async::<Value>(&mut redis).await?;
        }
    })
}

/// Sends that many messages, each when the last was answered; returns the milliseconds that each took.
pub(crate) async fn trips(space: &Space, messages: Vec<Message>) -> Outcome<Vec<f64>> {
    let _responder = Responder::start(space)?;
    alone(space, move |space, mut redis| async move {
        use futures_util::StreamExt as _;
        let client = deadpool_redis::redis::Client::open(space.url())?;
        let mut told = client.get_async_pubsub().await?;
        told.subscribe(stored(&space, "bare").0).await?;
        let mut told = told.into_on_message();
        let mut took = Vec::with_capacity(messages.len());
        for message in &messages {
            let began = Instant::now();
            let mut push = cmd("LPUSH");
            push.arg(space.key(QUEUE)).arg(&message.bytes);
            push.query_async::<()>(&mut redis).await?;
            told.next().await.ok_or("the server closed the connection")?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(took)
    })
    .await
}

/// Waits as that many tasks would, all at once; returns how many milliseconds that took.
pub(crate) async fn sleeps(count: usize) -> Outcome<f64> {
    let began = Instant::now();
    let waiting: Vec<_> = (0..count).map(|_| tokio::spawn(tokio::time::sleep(SLEEP))).collect();
    for waited in waiting {
        waited.await?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// Computes what that many tasks would on that many threads; returns how many seconds that took.
pub(crate) async fn burns(count: usize, threads: usize) -> Outcome<f64> {
    let began = Instant::now();
    let burn = move || (0..count / threads).for_each(|_| tasks::compute());
    let burning: Vec<_> = (0..threads).map(|_| tokio::task::spawn_blocking(burn)).collect();
    for burned in burning {
        burned.await?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Takes a message, stores a result and pushes the next one, that often; returns how many milliseconds that took.
pub(crate) async fn chain(space: &Space, length: usize, message: &Message) -> Outcome<f64> {
    let message = message.clone();
    alone(space, move |space, mut redis| async move {
        let queue = space.key(QUEUE);
        messages::push(&mut redis, &queue, std::slice::from_ref(&message)).await?;
        let began = Instant::now();
        for number in 0..length {
            cmd("BRPOP").arg(&queue).arg(0).query_async::<Value>(&mut redis).await?;
            let (key, document) = stored(&space, &number.to_string());
            let mut follow = pipe();
            follow.add_command(set(&key, &document)).cmd("PUBLISH").arg(&key).arg(&document);
            follow.cmd("LPUSH").arg(&queue).arg(&message.bytes);
            follow.query_async::<Value>(&mut redis).await?;
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    })
    .await
}

/// Runs the loop on a thread of its own.
async fn alone<T, F>(
    space: &Space,
    run: impl FnOnce(Space, MultiplexedConnection) -> F + Send + 'static,
) -> Outcome<T>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>>,
{
    let space = space.clone();
    let running = move || {
        current_thread()?.block_on(async {
            let redis = space.connect().await?;
            run(space, redis).await
        })
    };
    tokio::task::spawn_blocking(running).await?
}

fn current_thread() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
