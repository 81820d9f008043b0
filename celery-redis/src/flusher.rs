//! Carries out what is asked of messages that are out: whatever has gathered goes to the server in one round trip.
//!
//! An order is kept until the server has answered it. Each is a script that acts only while the message is ours and says
//! so, which makes it safe to repeat over a fresh connection: an acknowledgement whose answer was lost is decided by what
//! the server says when it answers again. What it will not do at all is let go of: the message is handed back.
//!
//! The same task moves what is still out after a moment from the batches of our own into kombu's books, so that it never
//! settles a message that is on its way there.

mod adopt;
mod batches;
mod commands;

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    mem,
    sync::{Arc, Weak},
};

use celery_core::broker::{BrokerError, Settlement};
use deadpool_redis::redis::{Cmd, FromRedisValue, ParsingError, Pipeline, RedisResult, Value};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use self::{
    batches::{Batches, State},
    commands::{acknowledge, begin, carry_out, settle},
};
use crate::{
    books::{Books, Job},
    connection::{Link, Pause},
    error::Fault,
    held::{Order, Place, What},
    scripts,
};

/// How many orders go into one round trip.
const AT_ONCE: usize = 1000;

/// Runs until nobody can ask any more.
pub(crate) async fn run(books: Weak<Books>, link: Link, mut asked: mpsc::UnboundedReceiver<Job>) {
    let mut flusher = Flusher {
        link,
        books,
        batches: Batches::default(),
        again: Vec::new(),
        again_at: None,
        pause: Pause::default(),
        flushing: Vec::new(),
    };
    let mut jobs = Vec::new();
    loop {
        let until = flusher.next();
        tokio::select! {
            biased;
            number = asked.recv_many(&mut jobs, AT_ONCE) => if number == 0 { return },
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
        }
        let mut orders = flusher.due_again();
        for job in jobs.drain(..) {
            match job {
                Job::Fetched(from, messages) => flusher.batches.insert(from, messages),
                Job::Settle(order) => orders.push(order),
                Job::Flush(done) => flusher.flushing.push(done),
            }
        }
        if let Some(books) = orders.first().map(|order| Arc::clone(&order.from.books)) {
            flusher.carry_out(&books, orders).await;
        }
        if flusher.again.is_empty() {
            // Whoever does not wait any more does not want to know.
            flusher.flushing.drain(..).for_each(|done| _ = done.send(()));
        }
        if let Some(books) = flusher.books.upgrade() {
            flusher.adopt(&books).await;
        }
    }
}

struct Flusher {
    link: Link,
    books: Weak<Books>,
    batches: Batches,
    /// What the server could not do at that moment.
    again: Vec<Order>,
    again_at: Option<Instant>,
    pause: Pause,
    /// Who waits until all has been carried out.
    flushing: Vec<oneshot::Sender<()>>,
}

/// What became of an order.
#[derive(Clone, Debug)]
enum Outcome {
    Done,
    /// The message was taken over by another process.
    Taken,
    /// The server will not do it.
    Refused(Fault),
    /// The server cannot do it now.
    Later,
    /// It was not waited for.
    GivenUp,
}

impl Flusher {
    /// When there is something to do that nobody asks for.
    fn next(&self) -> Option<Instant> {
        [self.again_at, self.batches.next_adoption()].into_iter().flatten().min()
    }

    fn due_again(&mut self) -> Vec<Order> {
        if self.again_at.is_none_or(|at| at > Instant::now()) {
            return Vec::new();
        }
        self.again_at = None;
        mem::take(&mut self.again)
    }

    async fn carry_out(&mut self, books: &Arc<Books>, orders: Vec<Order>) {
        let mut outcomes = vec![Outcome::Later; orders.len()];
        let plan = self.plan(books, &orders, &mut outcomes);
        self.send(books, plan, &mut outcomes).await;
        let due = orders.iter().filter_map(|order| match order.what {
            What::Settle(Settlement::Defer(due), _) => Some(due),
            _ => None,
        });
        if let Some(due) = due.min() {
            books.alarm.due(due);
        }
        for (order, outcome) in orders.into_iter().zip(outcomes) {
            self.note(&order, &outcome);
            self.tell(order, outcome);
        }
        if self.again.is_empty() {
            self.pause = Pause::default();
        } else if self.again_at.is_none() {
            self.again_at = Some(Instant::now() + self.pause.next());
        }
    }

    /// Sorts out which scripts are to be run.
    fn plan(&self, books: &Books, orders: &[Order], outcomes: &mut [Outcome]) -> Plan {
        let mut plan = Plan::default();
        for (at, order) in orders.iter().enumerate() {
            let is_done = matches!(
                &order.what,
                What::Settle(Settlement::Ack | Settlement::Reject, follows) if follows.is_empty()
            );
            let tag = match &order.place {
                Place::Tag(tag) => tag,
                Place::Batch(index) => match self.batches.state(order.from.number, *index) {
                    State::Done => {
                        outcomes[at] = Outcome::Done;
                        continue;
                    }
                    State::Taken => {
                        outcomes[at] = Outcome::Taken;
                        continue;
                    }
                    State::Out if is_done => {
                        plan.struck.entry(order.from.number).or_default().push((*index, at));
                        continue;
                    }
                    State::Out => {
                        plan.moves.push((at, command(books, order, None)));
                        continue;
                    }
                    State::Adopted(tag) => tag,
                },
            };
            if is_done {
                plan.tags.push((tag.clone(), at));
            } else {
                plan.moves.push((at, command(books, order, Some(tag))));
            }
        }
        plan
    }

    async fn send(&self, books: &Arc<Books>, plan: Plan, outcomes: &mut [Outcome]) {
        let mut commands = Vec::with_capacity(plan.moves.len() + 2);
        let struck: Vec<_> = plan.struck.into_iter().collect();
        if !struck.is_empty() {
            let ranges = struck.iter().map(|(number, struck)| {
                let struck = struck.iter().map(|(index, _)| *index).collect();
                (*number, self.batches.ranges(*number, struck))
            });
            commands.push(settle(books, ranges));
        }
        if !plan.tags.is_empty() {
            commands.push(acknowledge(books, plan.tags.iter().map(|(tag, _)| tag.as_str())));
        }
        let (moved, moves): (Vec<usize>, Vec<Cmd>) = plan.moves.into_iter().unzip();
        commands.extend(moves);
        if commands.is_empty() {
            return;
        }
        let mut answers = self.answered(books, &commands).await.into_iter();
        if !struck.is_empty() {
            let answer: Answer<Vec<u64>> = self.read(answers.next());
            for (number, struck) in struck {
                let outcome = answer.outcome(|taken| taken.contains(&number));
                struck.iter().for_each(|(_, at)| outcomes[*at] = outcome.clone());
            }
        }
        if !plan.tags.is_empty() {
            let answer: Answer<HashSet<String>> = self.read(answers.next());
            for (tag, at) in plan.tags {
                outcomes[at] = answer.outcome(|taken| taken.contains(&tag));
            }
        }
        for at in moved {
            let answer: Answer<i64> = self.read(answers.next());
            outcomes[at] = answer.outcome(|answer| *answer < 0);
        }
    }

    /// Keeps our own books as the server's are.
    fn note(&mut self, order: &Order, outcome: &Outcome) {
        let What::Settle(..) = order.what else { return };
        let books = &order.from.books;
        match (&order.place, outcome) {
            (_, Outcome::Refused(_) | Outcome::Later) => {}
            (Place::Tag(tag), _) => books.held().remove(tag),
            (Place::Batch(index), Outcome::Done | Outcome::GivenUp) => {
                self.batches.done(books, order.from.number, *index);
            }
            (Place::Batch(index), Outcome::Taken) => {
                self.batches.taken(books, order.from.number, *index);
            }
        }
    }

    /// Tells who waits, or keeps the order. What is refused is handed back.
    fn tell(&mut self, mut order: Order, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Later => {
                self.again.push(order);
                return;
            }
            Outcome::Done => Ok(()),
            Outcome::Taken => Err(taken(&self.link)),
            Outcome::Refused(fault) => Err(fault.into()),
            Outcome::GivenUp => {
                let why = "the broker was closed while the server did not answer";
                Err(BrokerError::from(Fault::connection(self.link.shown(), why)))
            }
        };
        // The slot is free before whoever waits goes on.
        drop(order.slot.take());
        match order.done.take() {
            Some(done) => _ = done.send(outcome.clone()),
            None => {
                if let Err(error) = &outcome {
                    tracing::warn!(error = error as &dyn Error, "a message could not be settled");
                }
            }
        }
        if let (Err(BrokerError::Refused(_) | BrokerError::Other(_)), What::Settle(..)) =
            (&outcome, &order.what)
            && !self.is_settled(&order)
            && !order.from.books.has_given_up()
        {
            order.what = What::Settle(Settlement::HandBack, Vec::new());
            self.again.push(order);
        }
    }

    /// Whether our own books do not have it any more.
    fn is_settled(&self, order: &Order) -> bool {
        match &order.place {
            Place::Tag(tag) => !order.from.books.held().contains(tag),
            Place::Batch(index) => {
                matches!(self.batches.state(order.from.number, *index), State::Done | State::Taken)
            }
        }
    }

    fn read<T: FromRedisValue>(&self, answer: Option<Result<Value, Fault>>) -> Answer<T> {
        let wrong = |error: ParsingError| Fault::other(self.link.shown(), error.to_string());
        match answer {
            None => Answer(Err(Outcome::GivenUp)),
            Some(Err(fault)) if fault.is_connection() => Answer(Err(Outcome::Later)),
            Some(Err(fault)) => Answer(Err(Outcome::Refused(fault))),
            Some(Ok(value)) => {
                Answer(T::from_redis_value(value).map_err(|error| Outcome::Refused(wrong(error))))
            }
        }
    }

    /// Sends the commands until the server has answered: with what it says to each. With nothing at all when the broker
    /// was closed meanwhile.
    async fn answered(&self, books: &Books, commands: &[Cmd]) -> Vec<Result<Value, Fault>> {
        let mut pause = Pause::default();
        loop {
            let fault = match self.ask(commands).await {
                Ok(answers) => return answers,
                Err(fault) => fault,
            };
            if pause.count() == 5 {
                let number = commands.len();
                tracing::warn!(
                    "{number} settlements wait for a server that does not answer: {fault}"
                );
            }
            tokio::select! {
                biased;
                () = books.gives_up() => return Vec::new(),
                () = pause.wait() => {}
            }
        }
    }

    async fn ask(&self, commands: &[Cmd]) -> Result<Vec<Result<Value, Fault>>, Fault> {
        let mut connection = self.link.shared().await?;
        let mut send = async || {
            let mut pipeline = Pipeline::with_capacity(commands.len());
            pipeline.ignore_errors();
            commands.iter().for_each(|command| _ = pipeline.add_command(command.clone()));
            let answers = pipeline.query_async::<Vec<RedisResult<Value>>>(&mut connection).await;
            self.link.seen(answers)
        };
        let mut answers = send().await?;
        if answers.iter().any(|answer| answer.as_ref().is_err_and(scripts::is_unknown)) {
            // The server was started anew, or is another one. All of it may be repeated.
            self.link.seen(scripts::load(&mut self.link.shared().await?).await)?;
            answers = send().await?;
        }
        Ok(answers.into_iter().map(|answer| self.link.seen(answer)).collect())
    }
}

/// What a script has answered, or what became of the orders instead.
struct Answer<T>(Result<T, Outcome>);

impl<T> Answer<T> {
    fn outcome(&self, is_taken: impl FnOnce(&T) -> bool) -> Outcome {
        match &self.0 {
            Ok(answer) if is_taken(answer) => Outcome::Taken,
            Ok(_) => Outcome::Done,
            Err(outcome) => outcome.clone(),
        }
    }
}

/// The scripts to run, each with the orders that it is for.
#[derive(Default)]
struct Plan {
    /// Messages of batches that are done with, by the number of the batch.
    struck: HashMap<u64, Vec<(u32, usize)>>,
    /// Those in kombu's books.
    tags: Vec<(String, usize)>,
    /// What becomes of others.
    moves: Vec<(usize, Cmd)>,
}

fn command(books: &Books, order: &Order, tag: Option<&str>) -> Cmd {
    match &order.what {
        What::Settle(how, follows) => carry_out(books, order, tag, how, follows),
        What::Begin => begin(books, order, tag),
    }
}

/// Somebody else has the message, and runs it.
fn taken(link: &Link) -> BrokerError {
    let why = "this process was silent for longer than `worker_timeout`, and the message was taken over by another";
    Fault::other(link.shown(), why).into()
}
