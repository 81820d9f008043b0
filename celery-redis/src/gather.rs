//! Lets those who ask the server for the same kind of thing at the same time share a round trip.
//!
//! Who asks alone asks directly. While one is under way, others hand theirs to a task, which sends whatever has gathered
//! at once: it gathers what is ready, and waits for nothing but the round trips before.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{connection::Link, error::Fault};

/// How many round trips are under way at once: one is written while the server is busy with another.
const ROUND_TRIPS: usize = 2;

/// Something to ask for.
pub(crate) trait Question: Send + Sync + Sized + 'static {
    /// What is answered.
    type Answer: Send + 'static;

    /// How much of it goes into a round trip, about.
    const AT_ONCE: usize;

    /// How much it is.
    fn weight(&self) -> usize;

    /// Asks for all of it at once, and answers each in its place.
    fn ask(
        link: &Link,
        questions: &[&Self],
    ) -> impl Future<Output = Vec<Result<Self::Answer, Fault>>> + Send;
}

/// Where those who ask meet.
pub(crate) struct Gather<Q: Question> {
    under_way: AtomicUsize,
    way: Mutex<Way<Q>>,
}

/// The way to the task that gathers, once there is one.
struct Way<Q: Question>(Option<mpsc::UnboundedSender<Order<Q>>>);

struct Order<Q: Question> {
    question: Q,
    answer: oneshot::Sender<Result<Q::Answer, Fault>>,
}

/// Counts one who asks, until it is dropped.
struct Asking<'a>(&'a AtomicUsize);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<Q: Question> Default for Gather<Q> {
    fn default() -> Self {
        Self { under_way: AtomicUsize::new(0), way: Mutex::new(Way(None)) }
    }
}

impl<Q: Question> fmt::Debug for Gather<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl<Q: Question> Gather<Q> {
    /// Asks, together with others where there are some.
    ///
    /// # Cancel safety
    /// What was asked for when the future is dropped may be done or not.
    pub(crate) async fn ask(&self, link: &Link, question: Q) -> Result<Q::Answer, Fault> {
        let others = self.under_way.fetch_add(1, Ordering::AcqRel);
        let _asking = Asking(&self.under_way);
        let unanswered =
            || Fault::connection(link.shown(), "the runtime that asks the server has ended");
        if others == 0 || question.weight() >= Q::AT_ONCE {
            let mut answers = Q::ask(link, &[&question]).await;
            return answers.pop().unwrap_or_else(|| Err(unanswered()));
        }
        let (answer, answered) = oneshot::channel();
        self.hand_over(link, Order { question, answer });
        answered.await.unwrap_or_else(|_| Err(unanswered()))
    }

    fn hand_over(&self, link: &Link, order: Order<Q>) {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        // A task that is gone went with the runtime that it was started on.
        if let Some(order) = way.send(order) {
            let (sender, orders) = mpsc::unbounded_channel();
            *way = Way(Some(sender));
            tokio::spawn(run(link.clone(), orders));
            _ = way.send(order);
        }
    }
}

impl<Q: Question> Way<Q> {
    /// Gives the order back where there is no task.
    fn send(&self, order: Order<Q>) -> Option<Order<Q>> {
        match &self.0 {
            Some(sender) => sender.send(order).err().map(|unsent| unsent.0),
            None => Some(order),
        }
    }
}

/// Runs until nobody can ask any more.
async fn run<Q: Question>(link: Link, mut orders: mpsc::UnboundedReceiver<Order<Q>>) {
    let round_trips = Arc::new(Semaphore::new(ROUND_TRIPS));
    while let Some(first) = orders.recv().await {
        let Ok(place) = Arc::clone(&round_trips).acquire_owned().await else { return };
        // Those who are about to ask do so first.
        tokio::task::yield_now().await;
        let mut weight = first.question.weight();
        let mut gathered = vec![first];
        while weight < Q::AT_ONCE
            && let Ok(order) = orders.try_recv()
        {
            weight += order.question.weight();
            gathered.push(order);
        }
        let link = link.clone();
        tokio::spawn(async move {
            let questions: Vec<&Q> = gathered.iter().map(|order| &order.question).collect();
            let answers = Q::ask(&link, &questions).await;
            for (Order { answer, .. }, it) in gathered.into_iter().zip(answers) {
                // Whoever does not wait any more does not want to know.
                let _ = answer.send(it);
            }
            drop(place);
        });
    }
}
