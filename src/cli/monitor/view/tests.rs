use ratatui::{Terminal, backend::TestBackend};

use super::*;

/// What is drawn, line by line, without the spaces at the ends.
fn lines(view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

/// The style of the first cell of a text on the screen.
fn style_of(view: &View, text: &str) -> Style {
    let mut terminal = Terminal::new(TestBackend::new(100, 20)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    for y in 0..20 {
        for x in 0..100 {
            let rest: String = (x..100).map(|x| buffer[(x, y)].symbol()).collect();
            if rest.starts_with(text) {
                return buffer[(x, y)].style();
            }
        }
    }
    panic!("{text} is not on the screen");
}

fn view() -> View {
    let row = |id: &str, state: &str| Row {
        id: id.to_owned(),
        worker: "w1@box".to_owned(),
        task: "proj.tasks.add".to_owned(),
        time: "12:34:56".to_owned(),
        state: state.to_owned(),
        is_selected: false,
    };
    View {
        rows: vec![
            row("83d6c2bc-3a2f-4a3c-b3f8-2f8a4a8a1d3e", "SUCCESS"),
            Row { is_selected: true, ..row("17ad92c7-6c55-4eb4-8b3d-5b7de1a0b0cf", "FAILURE") },
        ],
        selected: Some(("17ad92c7".to_owned(), "name=proj.tasks.add state=FAILURE".to_owned())),
        online: vec!["w1@box".to_owned()],
        workers: 2,
        events: 12,
        rate: 3,
        tasks: 2,
        ..View::default()
    }
}

#[test]
fn the_screen_is_celerys() {
    let lines = lines(&view(), 110, 16);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(lines[0], format!("┌{}┐", "─".repeat(108)));
    let inside: Vec<_> = lines[1..15]
        .iter()
        .map(|line| line.trim_start_matches("│ ").trim_end_matches('│').trim_end())
        .collect();
    let (id_one, id_two) =
        ("83d6c2bc-3a2f-4a3c-b3f8-2f8a4a8a1d3e", "17ad92c7-6c55-4eb4-8b3d-5b7de1a0b0cf");
    assert_eq!(
        inside,
        [
            &format!("celery events {version} (rust)"),
            "",
            &format!("{:36} {:24} {:26} TIME     STATE", "UUID", "WORKER", "TASK"),
            &format!("{id_one} {:24} {:26} 12:34:56 SUCCESS", "w1@box", "proj.tasks.add"),
            &format!("{id_two} {:24} {:26} 12:34:56 FAILURE", "w1@box", "proj.tasks.add"),
            "",
            "",
            "",
            "",
            &"─".repeat(106),
            "Selected: name=proj.tasks.add state=FAILURE",
            "Workers online: w1@box",
            "Info: events: 12 (3/s) tasks:2 workers:1/2",
            &format!("Keys: {HELP}"),
        ]
    );
}

#[test]
fn states_have_colours_and_what_is_selected_stands_out() {
    let view = view();
    assert_eq!(style_of(&view, "SUCCESS").fg, Some(Color::Green));
    assert_eq!(style_of(&view, "FAILURE").fg, Some(Color::Red));
    assert!(style_of(&view, "17ad92c7-").add_modifier.contains(Modifier::REVERSED));
    assert!(!style_of(&view, "83d6c2bc-").add_modifier.contains(Modifier::REVERSED));
}

#[test]
fn without_tasks_and_workers_it_says_so() {
    let lines = lines(&View::default(), 80, 20).join("\n");
    assert!(
        lines.contains("No task selected") && lines.contains("No workers discovered."),
        "{lines}"
    );
}

#[test]
fn a_page_lies_over_all_and_shows_whole_texts() {
    let entry =
        |name: &str, text: &str| Entry { name: name.into(), text: text.into(), mood: Mood::Plain };
    let page = Page {
        title: "Task details for 17ad92c7".to_owned(),
        entries: vec![
            entry("args", "(2, 2)"),
            entry("", "Traceback:\n  line 1"),
            entry("x", &"long ".repeat(30)),
        ],
    };
    let view = View { over: Over::Page(page), ..view() };
    let lines = lines(&view, 60, 12);
    assert_eq!(lines[1], "   Task details for 17ad92c7");
    assert_eq!(lines[3..6], ["   args: (2, 2)", "   Traceback:", "     line 1"]);
    assert!(
        lines[6].starts_with("   x: long long") && lines[7].starts_with("   long"),
        "{lines:#?}"
    );
    assert_eq!(lines[11], "Press any key to continue...");
}

#[test]
fn what_is_typed_takes_the_last_line() {
    let over = Over::Prompt { for_what: "New rate limit", typed: "10/m".to_owned() };
    let lines = lines(&View { over, ..view() }, 80, 16);
    assert_eq!(lines[14].trim_matches(['│', ' ']), "New rate limit: 10/m_");
}

#[test]
fn names_are_cut_where_they_tell_least_and_nothing_of_a_task_moves_the_cursor() {
    let columns = Columns::of(80);
    let row = columns.row([
        "83d6c2bc-3a2f-4a3c-b3f8-2f8a4a8a1d3e",
        "a-worker@a.long.host",
        "a.long.module.of.tasks.add",
        "12:34:56",
        "RECEIVED",
    ]);
    assert_eq!(
        row,
        "83d6c2bc-3a2f-4a3c-b3f8-2f... a-worker@a.l... a.long.mod[.]add 12:34:56 RECEIVED"
    );
    assert_eq!(short_task("add-without-a-module", 10), "[.]add-wit");
    assert_eq!(shortened("a\x1b[2Jb\n", 10), "a [2Jb ");
}

#[test]
fn no_size_of_the_window_is_too_small() {
    let view = view();
    let page = View { over: Over::Page(Page::default()), ..view.clone() };
    for width in [1, 2, 3, 5, 20, 60] {
        for height in [1, 2, 3, 6, 11, 12] {
            lines(&view, width, height);
            lines(&page, width, height);
        }
    }
    assert_eq!((room(5), room(24)), (0, 13));
}
