//! The terminal view of `events`: Celery's monitor, with its keys.
//!
//! What is known and selected is in [`model`], how it is drawn in [`view`]; here is what waits: for events, for keys, for
//! replies of workers, and for the time to draw.

mod keys;
mod model;
mod view;

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use celery_core::{
    app::Celery,
    clock,
    error::Error,
    events::{Event, EventReceiver},
    exception::with_sources,
    value::{Map, Value},
};
use ratatui::{DefaultTerminal, crossterm::event};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

use self::{
    keys::Key,
    model::{Action, Monitor},
};
use super::{Session, failure::Failure, signals::Signals};

/// How often it is drawn at most, and at least, since seconds pass and workers fall silent.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How long workers have to reply.
const DEADLINE: Duration = Duration::from_secs(1);
/// How many events may wait for the view. More wait in the receiver.
const AT_ONCE: usize = 100;
/// How long to wait before the broker is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What workers replied, or why they could not be asked.
type Replies = Result<Vec<(String, Value)>, String>;

/// Shows events until the user leaves.
pub(super) async fn run(session: &Session) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::new(
            "the view of events needs a terminal; `events --dump` prints them anywhere",
        ));
    }
    let mut signals = Signals::listen()?;
    // A broker that is not there at the begin is told of on the terminal as it was.
    let receiver = session.app.events().receive("#").await?;
    // From here on a panic, too, gives the terminal back.
    let terminal = ratatui::try_init()?;
    let outcome = tokio::select! {
        outcome = Screen::new(&session.app, terminal, receiver).run() => outcome,
        _ = signals.next() => Ok(()),
    };
    ratatui::try_restore()?;
    Ok(outcome?)
}

struct Screen<'a> {
    app: &'a Celery,
    terminal: DefaultTerminal,
    monitor: Monitor,
    heard: mpsc::Receiver<Result<Event, String>>,
    told: mpsc::UnboundedSender<Replies>,
    replies: mpsc::UnboundedReceiver<Replies>,
}

impl<'a> Screen<'a> {
    fn new(app: &'a Celery, terminal: DefaultTerminal, receiver: EventReceiver) -> Self {
        let (told, replies) = mpsc::unbounded_channel();
        let (hears, heard) = mpsc::channel(AT_ONCE);
        tokio::spawn(hear(app.clone(), receiver, hears));
        Self { app, terminal, monitor: Monitor::default(), heard, told, replies }
    }

    async fn run(mut self) -> io::Result<()> {
        let mut keys = keys();
        let mut draw = interval(DRAW_EVERY);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(heard) = self.heard.recv() => match heard {
                    Ok(event) => self.monitor.hear(&event, clock::now()),
                    Err(trouble) => self.monitor.trouble(trouble),
                },
                Some(key) = keys.recv() => {
                    if self.press(key)? {
                        return Ok(());
                    }
                    self.draw()?;
                }
                Some(replies) = self.replies.recv() => self.monitor.show_replies(replies),
                _ = draw.tick() => self.draw()?,
            }
        }
    }

    fn room(&self) -> io::Result<usize> {
        Ok(view::room(self.terminal.size()?.height))
    }

    fn draw(&mut self) -> io::Result<()> {
        let view = self.monitor.view(clock::now(), self.room()?);
        self.terminal.draw(|frame| view::draw(&view, frame))?;
        Ok(())
    }

    /// Does what a key says; returns whether it says to leave.
    fn press(&mut self, key: Key) -> io::Result<bool> {
        let arguments = |arguments: [(&str, String); 2]| {
            arguments
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect()
        };
        match self.monitor.press(key, self.room()?) {
            Action::Draw => {}
            Action::Quit => return Ok(true),
            Action::Beep => {
                io::stdout().write_all(b"\x07")?;
                io::stdout().flush()?;
            }
            Action::Revoke(id) => self.ask(
                "revoke",
                Map::from_iter([
                    ("task_id".to_owned(), Value::from(id)),
                    ("terminate".to_owned(), false.into()),
                    ("signal".to_owned(), "SIGTERM".into()),
                ]),
            ),
            Action::RateLimit { task, limit } => {
                self.ask("rate_limit", arguments([("task_name", task), ("rate_limit", limit)]));
            }
        }
        Ok(false)
    }

    /// Asks all workers, and shows what they reply when their time is over. Meanwhile the view goes on.
    fn ask(&self, command: &'static str, arguments: Map) {
        let (app, told) = (self.app.clone(), self.told.clone());
        tokio::spawn(async move {
            let asking = app.control().broadcast(command, arguments).timeout(DEADLINE);
            let replies = asking.replies().await.map_err(|error| with_sources(&error));
            // Nobody is there any more when the view is closed.
            let _closed = told.send(replies);
        });
    }
}

/// Hears events, and what is wrong with the connection, until nobody wants to know any more.
async fn hear(
    app: Celery,
    mut receiver: EventReceiver,
    heard: mpsc::Sender<Result<Event, String>>,
) {
    let trouble = |error: Error| Err(format!("Connection lost: {}", with_sources(&error)));
    loop {
        let error = loop {
            match receiver.next().await {
                Ok(event) => {
                    if heard.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
                Err(error) => break error,
            }
        };
        let mut lost = trouble(error);
        receiver = loop {
            if heard.send(lost).await.is_err() {
                return;
            }
            sleep(PAUSE).await;
            match app.events().receive("#").await {
                Ok(receiver) => break receiver,
                Err(error) => lost = trouble(error),
            }
        };
    }
}

/// The keys that are pressed. A thread waits for them, which ends with the program.
fn keys() -> mpsc::UnboundedReceiver<Key> {
    let (pressed, keys) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if Key::of(&event).is_some_and(|key| pressed.send(key).is_err()) {
                return;
            }
        }
    });
    keys
}
