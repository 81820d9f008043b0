//! What the screen shows at one moment, and how it is drawn: Celery's monitor, line by line.

#[cfg(test)]
mod tests;

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Wrap},
};

/// Lines around the list of tasks: the border, the greeting, the head, and the footer.
const LINES_AROUND: u16 = 11;
/// Between the border and what is inside it.
const MARGIN: u16 = 2;
const STATE_WIDTH: usize = 8;
const TIME_WIDTH: usize = 8;
const ID_WIDTH: usize = 36;
const LEAST_WORKER_WIDTH: usize = 15;
const LEAST_TASK_WIDTH: usize = 16;
const HELP: &str = "j:down k:up i:info t:traceback r:result c:revoke l:rate limit q, ^c: quit";

/// All that is on the screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct View {
    /// The tasks that fit, the last one first.
    pub(super) rows: Vec<Row>,
    /// What is selected, by its id, with what is known of it.
    pub(super) selected: Option<(String, String)>,
    /// The workers that are alive, by name.
    pub(super) online: Vec<String>,
    /// How many workers there have been.
    pub(super) workers: usize,
    /// How many events there have been.
    pub(super) events: u64,
    /// How many of them came within the last second.
    pub(super) rate: u64,
    /// How many tasks there have been.
    pub(super) tasks: u64,
    /// What lies over the list.
    pub(super) over: Over,
    /// What is wrong with the connection.
    pub(super) trouble: Option<String>,
}

/// A task in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) worker: String,
    pub(super) task: String,
    /// `HH:MM:SS`, in UTC.
    pub(super) time: String,
    pub(super) state: String,
    pub(super) is_selected: bool,
}

/// What lies over the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Over {
    #[default]
    Nothing,
    /// A page that any key closes.
    Page(Page),
    /// A line of text that is being typed, with what it is for.
    Prompt { for_what: &'static str, typed: String },
}

/// A page: a title, and entries of a name and a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) mood: Mood,
}

/// How an entry is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Plain,
    Good,
    Bad,
}

/// How many tasks fit into so many lines.
pub(super) fn room(height: u16) -> usize {
    usize::from(height.saturating_sub(LINES_AROUND))
}

/// Draws it.
pub(super) fn draw(view: &View, frame: &mut Frame<'_>) {
    let area = frame.area();
    if let Over::Page(page) = &view.over {
        draw_page(page, frame, area);
        return;
    }
    frame.render_widget(Block::bordered(), area);
    // Where the window is too small for the border, there is nothing inside it.
    let inside = Rect {
        x: area.x + MARGIN,
        y: area.y + 1,
        width: area.width.saturating_sub(2 * MARGIN),
        height: area.height.saturating_sub(2),
    };
    let columns = Columns::of(usize::from(inside.width));
    let mut lines = vec![
        Line::styled(
            format!("celery events {} (rust)", env!("CARGO_PKG_VERSION")),
            Style::new().fg(Color::Blue).add_modifier(Modifier::DIM),
        ),
        Line::default(),
        Line::styled(
            columns.row(["UUID", "WORKER", "TASK", "TIME", "STATE"]),
            Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        ),
    ];
    lines.extend(view.rows.iter().take(room(area.height)).map(|row| columns.line(row)));
    frame.render_widget(Paragraph::new(lines), inside);

    let footer = footer(view, usize::from(inside.width));
    let height = u16::try_from(footer.len()).unwrap_or(u16::MAX).min(inside.height);
    let at = Rect { y: inside.y + (inside.height - height), height, ..inside };
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(footer), at);
}

fn footer(view: &View, width: usize) -> Vec<Line<'static>> {
    let bold = |text: &str| Span::styled(text.to_owned(), Modifier::BOLD);
    let selected = match &view.selected {
        Some((_, info)) => {
            let name = "Selected: ";
            Line::from(vec![
                bold(name),
                Span::raw(shortened(info, width.saturating_sub(name.len()))),
            ])
        }
        None => Line::raw("No task selected"),
    };
    let workers = if view.online.is_empty() {
        Line::raw("No workers discovered.")
    } else {
        Line::from(vec![bold("Workers online: "), Span::raw(view.online.join(", "))])
    };
    let counts = format!(
        "events: {} ({}/s) tasks:{} workers:{}/{}",
        view.events,
        view.rate,
        view.tasks,
        view.online.len(),
        view.workers
    );
    let mut info = vec![bold("Info: "), Span::styled(counts, Modifier::DIM)];
    if let Some(trouble) = &view.trouble {
        info.push(Span::styled(format!(" {trouble}"), Color::Red));
    }
    let last = match &view.over {
        Over::Prompt { for_what, typed } => Line::from(vec![
            Span::styled(format!("{for_what}: "), Modifier::BOLD | Modifier::UNDERLINED),
            Span::raw(format!("{typed}_")),
        ]),
        Over::Nothing | Over::Page(_) => {
            Line::from(vec![bold("Keys: "), Span::styled(HELP, Modifier::DIM)])
        }
    };
    vec![Line::raw("─".repeat(width)), selected, workers, Line::from(info), last]
}

fn draw_page(page: &Page, frame: &mut Frame<'_>, area: Rect) {
    let mut lines = vec![
        Line::default(),
        Line::styled(page.title.clone(), Modifier::BOLD | Modifier::UNDERLINED),
        Line::default(),
    ];
    for entry in &page.entries {
        let color = match entry.mood {
            Mood::Plain => Style::new(),
            Mood::Good => Style::new().fg(Color::Green),
            Mood::Bad => Style::new().fg(Color::Red),
        };
        let mut name = (!entry.name.is_empty())
            .then(|| Span::styled(format!("{}: ", entry.name), Modifier::BOLD));
        for text in entry.text.split('\n') {
            // Control characters that a task has put into its result are not the terminal's.
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            lines.push(Line::from_iter(name.take().into_iter().chain([Span::styled(text, color)])));
        }
    }
    let inside = Rect {
        x: area.x + MARGIN + 1,
        width: area.width.saturating_sub(2 * MARGIN),
        height: area.height.saturating_sub(1),
        ..area
    };
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), inside);
    let last = Rect { y: area.bottom().saturating_sub(1), height: 1.min(area.height), ..area };
    frame.render_widget(Line::styled("Press any key to continue...", Modifier::BOLD), last);
}

/// How wide the columns are, which Celery divides the line into like this.
#[derive(Clone, Copy, Debug)]
struct Columns {
    id: usize,
    worker: usize,
    task: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        let detail = width.saturating_sub(STATE_WIDTH + TIME_WIDTH + 2);
        let id = detail.saturating_sub(LEAST_TASK_WIDTH + LEAST_WORKER_WIDTH + 2).min(ID_WIDTH);
        let detail = detail.saturating_sub(id + 1);
        let task = detail.div_ceil(2);
        Self { id, worker: detail.saturating_sub(task + 1), task }
    }

    fn row(self, [id, worker, task, time, state]: [&str; 5]) -> String {
        let cell = |text: String, width: usize| format!("{text:width$} ");
        [
            cell(shortened(id, self.id), self.id),
            cell(shortened(worker, self.worker), self.worker),
            cell(short_task(task, self.task), self.task),
            cell(time.to_owned(), TIME_WIDTH),
            shortened(state, STATE_WIDTH),
        ]
        .concat()
    }

    fn line(self, row: &Row) -> Line<'static> {
        let text = self.row([&row.id, &row.worker, &row.task, &row.time, &row.state]);
        let state = shortened(&row.state, STATE_WIDTH);
        let before = text.strip_suffix(&state).unwrap_or(&text).to_owned();
        let color = match row.state.as_str() {
            "SUCCESS" => Style::new().fg(Color::Green),
            "REVOKED" => Style::new().fg(Color::Magenta),
            "STARTED" => Style::new().fg(Color::Yellow),
            "FAILURE" | "RETRY" => Style::new().fg(Color::Red),
            _ => Style::new(),
        };
        let line = Line::from(vec![Span::raw(before), Span::styled(state, color)]);
        if row.is_selected { line.style(Modifier::REVERSED) } else { line }
    }
}

/// Cuts a text to so many characters, the last three of which are dots.
fn shortened(text: &str, width: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= width {
        return text;
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    kept + &"..."[..width.min(3)]
}

/// Cuts the name of a task in its module, since its end tells more: `proj.t[.]add`.
fn short_task(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return shortened(name, width);
    }
    let (module, name) = name.rsplit_once('.').unwrap_or(("", name));
    let mark = "[.]";
    let room = width.saturating_sub(mark.len() + name.chars().count());
    module.chars().take(room).chain(mark.chars()).chain(name.chars()).take(width).collect()
}
