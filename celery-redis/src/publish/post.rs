//! Sends what is published, and lets those who publish at the same time share their round trips.
//!
//! Who publishes alone asks the server directly. While one is under way, others hand theirs to a task, which sends whatever
//! has gathered as one pipeline: it gathers what is ready, and waits for nothing but the pipelines before.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use celery_core::broker::BrokerError;
use deadpool_redis::redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::mail::{Mail, commands};
use crate::{broker::RedisBroker, connection::Link, error::Fault};

/// How many pipelines are under way at once: one is written while the server is busy with another.
const PIPELINES: usize = 2;

/// How many messages a pipeline takes, about.
const MESSAGES_AT_ONCE: usize = 1000;

/// The way of publications to the server.
#[derive(Debug, Default)]
pub(crate) struct Post {
    under_way: AtomicUsize,
    gathering: Mutex<Gathering>,
}

/// The mail of one who publishes.
#[derive(Debug)]
struct Order {
    mail: Mail,
    done: oneshot::Sender<Result<(), Fault>>,
}

/// Counts one who publishes, until it is dropped.
struct Publishing<'a>(&'a AtomicUsize);

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl RedisBroker {
    /// Sends the mail, with that of others where there is some.
    pub(crate) async fn post(&self, mail: Mail) -> Result<(), BrokerError> {
        let post = self.outbox();
        let others = post.under_way.fetch_add(1, Ordering::AcqRel);
        let _publishing = Publishing(&post.under_way);
        if others == 0 || mail.len() >= MESSAGES_AT_ONCE {
            return Ok(send(self.link(), &[&mail]).await.pop().unwrap_or(Ok(()))?);
        }
        let (done, outcome) = oneshot::channel();
        post.hand_over(self.link(), Order { mail, done });
        let ended =
            || Fault::connection(self.link().shown(), "the runtime that publishes has ended");
        Ok(outcome.await.unwrap_or_else(|_| Err(ended()))?)
    }
}

impl Post {
    fn hand_over(&self, link: &Link, order: Order) {
        let mut gathering = self.gathering.lock().unwrap_or_else(PoisonError::into_inner);
        // A task that is gone went with the runtime that it was started on.
        if let Some(order) = gathering.send(order) {
            let (sender, orders) = mpsc::unbounded_channel();
            *gathering = Gathering(Some(sender));
            tokio::spawn(gather(link.clone(), orders));
            _ = gathering.send(order);
        }
    }
}

/// The way to the task that gathers, once there is one.
#[derive(Debug, Default)]
struct Gathering(Option<mpsc::UnboundedSender<Order>>);

impl Gathering {
    /// Gives the order back where there is no task.
    fn send(&self, order: Order) -> Option<Order> {
        match &self.0 {
            Some(sender) => sender.send(order).err().map(|unsent| unsent.0),
            None => Some(order),
        }
    }
}

/// Runs until nobody can publish any more.
async fn gather(link: Link, mut orders: mpsc::UnboundedReceiver<Order>) {
    let pipelines = Arc::new(Semaphore::new(PIPELINES));
    while let Some(first) = orders.recv().await {
        let Ok(place) = Arc::clone(&pipelines).acquire_owned().await else { return };
        // Those who are about to publish do so first.
        tokio::task::yield_now().await;
        let mut messages = first.mail.len();
        let mut gathered = vec![first];
        while messages < MESSAGES_AT_ONCE
            && let Ok(order) = orders.try_recv()
        {
            messages += order.mail.len();
            gathered.push(order);
        }
        let link = link.clone();
        tokio::spawn(async move {
            let mails: Vec<&Mail> = gathered.iter().map(|order| &order.mail).collect();
            let outcomes = send(&link, &mails).await;
            for (Order { done, .. }, outcome) in gathered.into_iter().zip(outcomes) {
                // Whoever does not wait any more does not want to know.
                let _ = done.send(outcome);
            }
            drop(place);
        });
    }
}

/// Sends all of it in one round trip, and says what became of each.
async fn send(link: &Link, mails: &[&Mail]) -> Vec<Result<(), Fault>> {
    let mut commands = commands(mails.iter().copied());
    let faults = match commands.as_slice() {
        [(target, command)] => {
            link.ask::<()>(command).await.map_err(|fault| vec![(*target, fault)])
        }
        _ => ask_each(link, std::mem::take(&mut commands)).await,
    };
    let Err(faults) = faults else { return vec![Ok(()); mails.len()] };
    let of = |mail: &&Mail| {
        let own = faults.iter().find(|(target, _)| mail.goes_to(target));
        own.map_or(Ok(()), |(_, fault)| Err(fault.clone()))
    };
    mails.iter().map(of).collect()
}

/// Asks for each, whatever becomes of the others: what went wrong, and where.
async fn ask_each<'a>(
    link: &Link,
    commands: Vec<(&'a str, Cmd)>,
) -> Result<(), Vec<(&'a str, Fault)>> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    pipeline.ignore_errors();
    let mut targets = Vec::with_capacity(commands.len());
    for (target, command) in commands {
        targets.push(target);
        pipeline.add_command(command);
    }
    let targets = targets.into_iter();
    let faults: Vec<_> = match link.ask_all::<Vec<RedisResult<Value>>>(&pipeline).await {
        Err(fault) => targets.map(|target| (target, fault.clone())).collect(),
        Ok(outcomes) => {
            let outcomes = targets.zip(outcomes);
            outcomes.filter_map(|(target, it)| Some((target, link.seen(it).err()?))).collect()
        }
    };
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}
