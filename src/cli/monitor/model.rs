//! What is known, what is selected, and what keys do to it. Nothing here draws, waits or speaks to anybody.

#[cfg(test)]
mod tests;

use celery_core::{
    events::{Event, State, Task},
    value::Value,
};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    keys::Key,
    view::{Entry, Mood, Over, Page, Row, View},
};
use crate::cli::output::python_str;

const RATE_LIMIT: &str = "New rate limit";
/// How many characters of a result are shown below the list.
const SHORT_RESULT: usize = 16;

/// What a key asks of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// To draw anew.
    Draw,
    /// To say that this is not possible.
    Beep,
    Quit,
    /// To revoke the task of that id.
    Revoke(String),
    /// To let that many of the task begin.
    RateLimit {
        task: String,
        limit: String,
    },
}

/// The monitor.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    state: State,
    selected: Option<String>,
    over: Over,
    trouble: Option<String>,
    /// The second that events are counted in, how many there were, and how many in the one before.
    second: (i64, u64, u64),
}

impl Monitor {
    /// Takes note of an event that came at this time.
    pub(super) fn hear(&mut self, event: &Event, now: Timestamp) {
        self.trouble = None;
        self.count_to(now);
        self.second.1 += 1;
        self.state.event(event);
    }

    /// Says what is wrong with the connection, until an event comes.
    pub(super) fn trouble(&mut self, what: String) {
        self.trouble = Some(what);
    }

    /// Shows what workers replied to a command.
    pub(super) fn show_replies(&mut self, replies: Result<Vec<(String, Value)>, String>) {
        let title = "Remote Control Command Replies".to_owned();
        let bad = |text: String| Entry { name: String::new(), text, mood: Mood::Bad };
        let entries = match replies {
            Err(error) => vec![bad(error)],
            Ok(replies) if replies.is_empty() => {
                vec![bad("No replies received in 1s deadline.".to_owned())]
            }
            Ok(replies) => replies.into_iter().map(reply).collect(),
        };
        self.over = Over::Page(Page { title, entries });
    }

    /// Does what a key says, in a list of so many tasks.
    pub(super) fn press(&mut self, key: Key, room: usize) -> Action {
        match (&mut self.over, key) {
            (_, Key::Interrupt) => return Action::Quit,
            (_, Key::Resized) => {}
            (Over::Page(_), _) => self.over = Over::Nothing,
            (Over::Prompt { typed, .. }, key) => match key {
                Key::Char(char) => typed.push(char),
                Key::Backspace => _ = typed.pop(),
                Key::Escape => self.over = Over::Nothing,
                Key::Enter => return self.typed(),
                Key::Up | Key::Down | Key::Interrupt | Key::Resized => {}
            },
            (Over::Nothing, Key::Char(letter)) => return self.letter(letter, room),
            (Over::Nothing, Key::Down) => self.move_selection(1, room),
            (Over::Nothing, Key::Up) => self.move_selection(-1, room),
            (Over::Nothing, Key::Enter) => return self.letter('i', room),
            (Over::Nothing, Key::Backspace | Key::Escape) => {}
        }
        Action::Draw
    }

    /// What is on a screen with room for so many tasks at this time.
    pub(super) fn view(&mut self, now: Timestamp, room: usize) -> View {
        self.count_to(now);
        let online = self.state.alive_workers().map(|worker| worker.hostname().to_owned());
        let mut online: Vec<_> = online.collect();
        online.sort();
        View {
            rows: self.state.tasks_by_time().take(room).map(|task| self.row(task)).collect(),
            selected: self.selected_task().map(summary),
            online,
            workers: self.state.workers().count(),
            events: self.state.event_count(),
            rate: self.second.2,
            tasks: self.state.task_count(),
            over: self.over.clone(),
            trouble: self.trouble.clone(),
        }
    }

    fn row(&self, task: &Task) -> Row {
        let at =
            task.timestamp().and_then(|unix| Timestamp::from_microsecond((unix * 1e6) as i64).ok());
        let time = at.map(|at| at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string());
        Row {
            id: task.uuid().to_owned(),
            worker: task.worker().unwrap_or("*NONE*").to_owned(),
            task: task.name().unwrap_or("???").to_owned(),
            time: time.unwrap_or_default(),
            state: task.state().to_owned(),
            is_selected: self.selected.as_deref() == Some(task.uuid()),
        }
    }

    fn count_to(&mut self, now: Timestamp) {
        let (second, count, _) = self.second;
        match now.as_second() - second {
            0 => {}
            1 => self.second = (now.as_second(), 0, count),
            _ => self.second = (now.as_second(), 0, 0),
        }
    }

    fn selected_task(&self) -> Option<&Task> {
        self.state.task(self.selected.as_deref()?)
    }

    fn letter(&mut self, letter: char, room: usize) -> Action {
        let letter = letter.to_ascii_lowercase();
        match letter {
            'q' => return Action::Quit,
            'j' => self.move_selection(1, room),
            'k' => self.move_selection(-1, room),
            'i' | 'r' | 't' | 'c' | 'l' => return self.of_selected(letter),
            _ => {}
        }
        Action::Draw
    }

    fn of_selected(&mut self, letter: char) -> Action {
        let Some(task) = self.selected_task() else { return Action::Beep };
        let over = match letter {
            'i' => Over::Page(details(task)),
            'r' => Over::Page(result(task)),
            't' => match task.get("traceback").and_then(Value::as_str) {
                Some(traceback) => Over::Page(page("Task Exception Traceback", task, traceback)),
                None => return Action::Beep,
            },
            'c' => return Action::Revoke(task.uuid().to_owned()),
            _ if task.name().is_some() => {
                Over::Prompt { for_what: RATE_LIMIT, typed: String::new() }
            }
            _ => return Action::Beep,
        };
        self.over = over;
        Action::Draw
    }

    /// What was typed is the limit of the selected task. Nothing is no limit to set.
    fn typed(&mut self) -> Action {
        let Over::Prompt { typed, .. } = std::mem::take(&mut self.over) else {
            return Action::Draw;
        };
        let limit = typed.trim().to_owned();
        match self.selected_task().and_then(Task::name).map(str::to_owned) {
            Some(task) if !limit.is_empty() => Action::RateLimit { task, limit },
            _ => Action::Draw,
        }
    }

    /// Moves along the list, from its end to its begin. What has left the list counts as the first.
    fn move_selection(&mut self, by: isize, room: usize) {
        let ids: Vec<_> =
            self.state.tasks_by_time().take(room).map(|task| task.uuid().to_owned()).collect();
        let Some(last) = ids.len().checked_sub(1) else { return };
        let at =
            self.selected.as_ref().and_then(|selected| ids.iter().position(|id| id == selected));
        let to = match (at, by) {
            (None, _) => 0,
            (Some(0), -1) => last,
            (Some(at), -1) => at - 1,
            (Some(at), _) if at == last => 0,
            (Some(at), _) => at + 1,
        };
        self.selected = ids.get(to).cloned();
    }
}

/// What is known of a task beside its row, on one line.
fn summary(task: &Task) -> (String, String) {
    let short = |(name, value): (&str, &Value)| {
        let text = match (name, value.as_f64()) {
            ("runtime", Some(runtime)) => format!("{runtime:.2}"),
            _ => python_str(value),
        };
        if name == "result" && text.chars().count() > SHORT_RESULT {
            let start: String = text.chars().take(SHORT_RESULT - 3).collect();
            return format!("{name}={start}...");
        }
        format!("{name}={text}")
    };
    let infos: Vec<_> = task.info().map(short).collect();
    (task.uuid().to_owned(), infos.join(" "))
}

fn details(task: &Task) -> Page {
    let entry = |name: &str, text: String| Entry { name: name.to_owned(), text, mood: Mood::Plain };
    let mut entries: Vec<_> =
        task.info().map(|(name, value)| entry(name, python_str(value))).collect();
    let known = [("name", task.name()), ("worker", task.worker()), ("state", Some(task.state()))];
    entries
        .extend(known.into_iter().filter_map(|(name, text)| Some(entry(name, text?.to_owned()))));
    Page { title: format!("Task details for {}", task.uuid()), entries }
}

fn result(task: &Task) -> Page {
    page("Task Result", task, task.result().or(task.exception()).unwrap_or_default())
}

fn page(what: &str, task: &Task, text: &str) -> Page {
    let entry = Entry { name: String::new(), text: text.to_owned(), mood: Mood::Plain };
    Page { title: format!("{what} for {}", task.uuid()), entries: vec![entry] }
}

fn reply((node, reply): (String, Value)) -> Entry {
    let (text, mood) = match (reply.get("ok"), reply.get("error")) {
        (_, Some(error)) => (python_str(error), Mood::Bad),
        (Some(ok), None) => (python_str(ok), Mood::Good),
        (None, None) => (python_str(&reply), Mood::Plain),
    };
    Entry { name: node, text, mood }
}
