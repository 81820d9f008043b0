//! Takes deliveries, and gives them slots in the order in which they came.

use std::{
    collections::{HashMap, VecDeque},
    future::ready,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    Shutdown,
    intake::Wanted,
    line::Line,
    node::Node,
    outage::Outage,
    recall::recall,
    request::{self, Received, Request},
    requests::Stage,
};
use crate::{
    broker::{BrokerError, Consumer, Prefetch},
    error::Error,
};

/// Consumes until the worker is asked to stop, over as many connections as that takes.
pub(super) async fn run(node: &Arc<Node>, shutdown: &Shutdown) -> Result<(), Error> {
    let wanted = node.intake.follow();
    let (line, _breaks_off) = Line::new(node);
    let mut work = Work { node, wanted, line, limited: HashMap::new() };
    let mut outage = Outage::default();
    let mut ended = Ok(());
    loop {
        let consumer = tokio::select! {
            biased;
            () = shutdown.stopping() => break,
            consumer = work.connect() => consumer,
        };
        let error = match consumer {
            Ok(mut consumer) => {
                tracing::info!(target: "celery::worker", "{} ready.", node.hostname);
                node.app.listeners().tell("worker_ready", |it| it.worker_ready(&node.hostname));
                outage.connected();
                node.health.consumes(consumer.contact());
                let began = Instant::now();
                match work.consume(consumer.as_mut(), shutdown, &mut outage).await {
                    Some(error) => {
                        work.give_up_waiting();
                        if node.app.config().worker.cancel_long_running_tasks_on_connection_loss {
                            cancel_late(node);
                        }
                        outage.lost(began);
                        error.into()
                    }
                    None => {
                        if let Err(error) = consumer.close().await {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "could not stop consuming in order"
                            );
                        }
                        break;
                    }
                }
            }
            Err(error) => error,
        };
        node.health.failed(&error);
        if let Err(gave_up) = outage.pause(&error, node, shutdown).await {
            // What runs may come to its end.
            node.alone.cancel();
            ended = Err(gave_up);
            break;
        }
    }
    let warm = !shutdown.cold.is_cancelled();
    node.app.listeners().tell("worker_shutting_down", |signals| {
        signals.worker_shutting_down(&node.hostname, warm);
    });
    work.finish(shutdown).await;
    ended
}

/// What has been taken and is not done with.
struct Work<'a> {
    node: &'a Arc<Node>,
    /// What is consumed, as remote control has it.
    wanted: watch::Receiver<Wanted>,
    /// Admitted, waiting for a slot; and what runs.
    line: Arc<Line>,
    /// Admitted, waiting for the rate limit of their tasks.
    limited: HashMap<&'static str, VecDeque<Box<Request>>>,
}

impl Work<'_> {
    async fn connect(&mut self) -> Result<Box<dyn Consumer>, Error> {
        let Wanted { queues, prefetch } = self.wanted.borrow_and_update().clone();
        let broker = self.node.app.broker().await?;
        // Before the first message, so that none is run that was revoked while nobody listened.
        self.node.recall_revoked().await?;
        Ok(broker.consume(&queues, prefetch).await?)
    }

    /// Returns the error that ended the connection, or nothing when the worker is to stop.
    async fn consume(
        &mut self,
        consumer: &mut dyn Consumer,
        shutdown: &Shutdown,
        outage: &mut Outage,
    ) -> Option<BrokerError> {
        let mut stopped = pin!(shutdown.stopping());
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return None,
                () = self.node.slots.freed() => self.line.start(),
                Ok(()) = self.wanted.changed() => {
                    let Wanted { queues, prefetch } = self.wanted.borrow_and_update().clone();
                    consumer.set_queues(&queues);
                    consumer.set_prefetch(self.with_limited(prefetch));
                }
                task = self.node.rates.due() => {
                    self.node.rates.begin(task);
                    let held = self.limited.get_mut(task);
                    if let Some(request) = held.and_then(VecDeque::pop_front) {
                        self.line.push(request);
                        self.line.start();
                    }
                    consumer.set_prefetch(self.prefetch());
                }
                batch = consumer.next() => match recall(self.node, shutdown.stopping(), batch).await {
                    Ok(batch) => {
                        outage.over();
                        for delivery in batch {
                            match request::receive(self.node, delivery) {
                                Received::Run(request) => self.line.push(request),
                                Received::Held(request) => {
                                    let held = self.limited.entry(request.task()).or_default();
                                    held.push_back(request);
                                    consumer.set_prefetch(self.prefetch());
                                }
                                Received::Refused(settle) => self.line.spawn(settle),
                            }
                        }
                        self.line.start();
                    }
                    Err(error) => return Some(error),
                },
            }
        }
    }

    /// How many messages may be out: what waits for rate limits keeps nothing else from coming.
    fn prefetch(&self) -> Prefetch {
        self.with_limited(self.wanted.borrow().prefetch)
    }

    fn with_limited(&self, prefetch: Prefetch) -> Prefetch {
        let limited: usize = self.limited.values().map(VecDeque::len).sum();
        prefetch.map(|most| most.saturating_add(u32::try_from(limited).unwrap_or(u32::MAX)))
    }

    /// Hands back what has not begun: after a lost connection it comes again, and is not to be run twice.
    fn give_up_waiting(&mut self) {
        let mut waiting = self.line.take_all();
        waiting.extend(self.limited.drain().flat_map(|(_, held)| held));
        waiting.make_contiguous().sort_by_key(|request| request.number());
        self.node.rates.release_all();
        self.line.spawn(Box::pin(async move {
            // The last one first, since each goes to the front of its queue. Each is begun in its turn, and none waits for
            // the one before: a broker that is away would be waited for as often as there are requests.
            let back = waiting.into_iter().rev().map(|request| request.hand_back());
            stream::iter(back).buffered(BACK_AT_ONCE).for_each(|()| ready(())).await;
        }));
    }

    /// Hands back what has not begun, and waits for the rest, unless the worker is to stop at once.
    async fn finish(mut self, shutdown: &Shutdown) {
        self.node.health.stops();
        self.give_up_waiting();
        let node = Arc::clone(self.node);
        let on_idle = node.app.config().worker.enable_soft_shutdown_on_idle;
        let cold = soft_shutdown(&node, shutdown);
        tokio::pin!(cold);
        loop {
            let waits_on_idle =
                on_idle && shutdown.cold.is_cancelled() && !node.cold.is_cancelled();
            let is_idle = self.line.is_idle();
            if is_idle && !waits_on_idle {
                break;
            }
            tokio::select! {
                biased;
                () = self.line.ended(), if !is_idle => {}
                () = &mut cold, if !node.cold.is_cancelled() => node.cold.cancel(),
            }
        }
        // What was settled without anybody waiting for it is not to be left undone.
        let flush = async {
            if let Ok(broker) = node.app.broker().await {
                broker.flush().await;
            }
        };
        if !node.alone.is_cancelled() && timeout(FLUSHING, flush).await.is_err() {
            tracing::warn!("the broker is away: what could not be settled is delivered again");
        }
    }
}

/// Leaves to other workers what runs and cannot be acknowledged any more.
fn cancel_late(node: &Node) {
    for held in node.requests.all() {
        if held.stage() != Stage::Reserved && !held.is_acknowledged() {
            held.cancel();
        }
    }
}

/// Waits until what runs has had its time.
async fn soft_shutdown(node: &Node, shutdown: &Shutdown) {
    tokio::select! {
        () = shutdown.cold.cancelled() => {}
        () = shutdown.now.cancelled() => return,
    }
    let config = &node.app.config().worker;
    let grace = config.soft_shutdown_timeout;
    if !grace.is_zero() && (node.requests.active() > 0 || config.enable_soft_shutdown_on_idle) {
        tracing::warn!(target: "celery::worker", "Initiating Soft Shutdown, terminating in {} seconds", grace.as_secs_f64());
    }
    tokio::select! {
        () = sleep(grace) => {}
        () = shutdown.now.cancelled() => {}
    }
}

/// How long the end of a worker may be held up by a broker that is away.
const FLUSHING: Duration = Duration::from_secs(4);

/// How many requests are handed back side by side.
const BACK_AT_ONCE: usize = 1000;
