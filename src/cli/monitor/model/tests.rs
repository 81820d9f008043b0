use serde_json::json;

use super::*;

const ROOM: usize = 10;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A monitor that has heard of these tasks, one a second, each of which has succeeded but for those named `bad`.
fn monitor(names: &[&str]) -> Monitor {
    let mut monitor = Monitor::default();
    for (number, name) in (0_u32..).zip(names) {
        let number = i64::from(number);
        let unix = at(number).as_second();
        let mut tell = |kind: &str, clock: i64, fields: Value| {
            let mut event = json!({
                "uuid": format!("id-{number}"), "hostname": "w1@h", "timestamp": unix, "local_received": unix,
                "clock": 10 * number + clock, "type": kind,
            });
            event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            monitor.hear(&Event::from_value(event).unwrap(), at(number));
        };
        tell(
            "task-received",
            1,
            json!({ "name": name, "args": "(2, 2)", "kwargs": "{}", "retries": 0 }),
        );
        if *name == "bad" {
            tell(
                "task-failed",
                2,
                json!({ "exception": "KeyError('x')", "traceback": "Traceback:\n  line" }),
            );
        } else {
            tell(
                "task-succeeded",
                2,
                json!({ "result": "'a long long result'", "runtime": 1.2345 }),
            );
        }
    }
    monitor
}

fn selected(monitor: &mut Monitor) -> Option<String> {
    monitor.view(at(0), ROOM).selected.map(|(id, _)| id)
}

fn press(monitor: &mut Monitor, keys: &str) -> Vec<Action> {
    keys.chars().map(|key| monitor.press(Key::Char(key), ROOM)).collect()
}

#[test]
fn the_last_task_is_on_top_with_what_is_known_of_it() {
    let mut monitor = monitor(&["t.add", "bad"]);
    let view = monitor.view(at(1), ROOM);
    let rows: Vec<_> =
        view.rows.iter().map(|row| (&*row.id, &*row.task, &*row.state, &*row.time)).collect();
    assert_eq!(
        rows,
        [("id-1", "bad", "FAILURE", "08:00:01"), ("id-0", "t.add", "SUCCESS", "08:00:00")]
    );
    assert_eq!((view.events, view.tasks, view.workers), (4, 2, 1));
    assert_eq!(monitor.view(at(1), 1).rows.len(), 1, "no more than fit");
    press(&mut monitor, "jj");
    let (_, info) = monitor.view(at(1), ROOM).selected.unwrap();
    assert_eq!(info, "args=(2, 2) kwargs={} retries=0 result='a long long ... runtime=1.23");
}

#[test]
fn the_selection_moves_along_the_list_and_around_its_ends() {
    let mut monitor = monitor(&["a", "b", "c"]);
    let mut after = |keys: &str| {
        press(&mut monitor, keys);
        selected(&mut monitor).unwrap()
    };
    assert_eq!(after("j"), "id-2");
    assert_eq!(after("j"), "id-1");
    assert_eq!(after("jj"), "id-2");
    assert_eq!(after("k"), "id-0");
    assert_eq!(after("K"), "id-1");
    assert_eq!(monitor.press(Key::Down, ROOM), Action::Draw);
    assert_eq!(selected(&mut monitor).unwrap(), "id-0");
}

#[test]
fn a_task_that_is_new_does_not_move_the_selection() {
    let mut monitor = monitor(&["a", "b"]);
    press(&mut monitor, "j");
    let event = json!({ "type": "task-received", "uuid": "new", "hostname": "w1@h", "timestamp": 9, "local_received": 9, "clock": 99 });
    monitor.hear(&Event::from_value(event).unwrap(), at(9));
    assert_eq!(selected(&mut monitor).unwrap(), "id-1");
    let rows = monitor.view(at(9), ROOM).rows;
    assert_eq!(
        (&*rows[0].id, rows[0].is_selected, &*rows[1].id, rows[1].is_selected),
        ("new", false, "id-1", true)
    );
}

#[test]
fn what_needs_a_selection_beeps_without_one() {
    let mut monitor = monitor(&["a"]);
    for key in "irtcl".chars() {
        assert_eq!(monitor.press(Key::Char(key), ROOM), Action::Beep, "{key}");
    }
    press(&mut monitor, "j");
    assert_eq!(press(&mut monitor, "t"), [Action::Beep], "it has not failed");
}

#[test]
fn pages_tell_of_the_selected_task_and_any_key_closes_them() {
    let mut monitor = monitor(&["bad", "a"]);
    let mut page = |keys: &str| {
        press(&mut monitor, keys);
        let Over::Page(page) = monitor.view(at(0), ROOM).over else {
            panic!("no page after {keys}")
        };
        monitor.press(Key::Char('x'), ROOM);
        assert_eq!(monitor.view(at(0), ROOM).over, Over::Nothing);
        let texts = page.entries.into_iter().map(|entry| format!("{}={}", entry.name, entry.text));
        (page.title, texts.collect::<Vec<_>>())
    };
    assert_eq!(
        page("jr"),
        ("Task Result for id-1".to_owned(), vec!["='a long long result'".to_owned()])
    );
    let (title, details) = page("i");
    assert_eq!(title, "Task details for id-1");
    assert_eq!(details.first().map(String::as_str), Some("args=(2, 2)"));
    assert_eq!(details[details.len() - 3..], ["name=a", "worker=w1@h", "state=SUCCESS"]);
    assert_eq!(page("jt").1, ["=Traceback:\n  line"]);
    assert_eq!(page("r").1, ["=KeyError('x')"]);
}

#[test]
fn a_rate_limit_is_typed_and_a_task_revoked() {
    let mut monitor = monitor(&["t.add"]);
    press(&mut monitor, "jl10/m");
    let over = monitor.view(at(0), ROOM).over;
    assert_eq!(over, Over::Prompt { for_what: RATE_LIMIT, typed: "10/m".to_owned() });
    monitor.press(Key::Backspace, ROOM);
    press(&mut monitor, "h");
    let limit = Action::RateLimit { task: "t.add".to_owned(), limit: "10/h".to_owned() };
    assert_eq!(monitor.press(Key::Enter, ROOM), limit);
    press(&mut monitor, "l5");
    assert_eq!(monitor.press(Key::Escape, ROOM), Action::Draw);
    assert_eq!(monitor.view(at(0), ROOM).over, Over::Nothing);
    press(&mut monitor, "l");
    assert_eq!(monitor.press(Key::Enter, ROOM), Action::Draw, "nothing was typed");
    assert_eq!(press(&mut monitor, "c"), [Action::Revoke("id-0".to_owned())]);
    assert_eq!(press(&mut monitor, "q"), [Action::Quit]);
    press(&mut monitor, "l");
    assert_eq!(monitor.press(Key::Interrupt, ROOM), Action::Quit, "also while it is typed");
}

#[test]
fn replies_are_shown_as_they_are_meant() {
    let mut monitor = Monitor::default();
    let mut shown = |replies: Result<Vec<(String, Value)>, String>| {
        monitor.show_replies(replies);
        let Over::Page(page) = monitor.view(at(0), ROOM).over else { panic!("no page") };
        page.entries
            .into_iter()
            .map(|entry| (entry.name, entry.text, entry.mood))
            .collect::<Vec<_>>()
    };
    let own = str::to_owned;
    let replies = vec![(own("w1"), json!({ "ok": "done" })), (own("w2"), json!({ "error": "no" }))];
    let expected = [(own("w1"), own("done"), Mood::Good), (own("w2"), own("no"), Mood::Bad)];
    assert_eq!(shown(Ok(replies)), expected);
    assert_eq!(shown(Ok(vec![]))[0].1, "No replies received in 1s deadline.");
    assert_eq!(shown(Err(own("no route")))[0].1, "no route");
}

#[test]
fn events_are_counted_by_the_second() {
    let mut monitor = monitor(&["a", "b"]);
    // Two events in each of the seconds 0 and 1.
    assert_eq!(monitor.view(at(1), ROOM).rate, 2);
    assert_eq!(monitor.view(at(2), ROOM).rate, 2);
    assert_eq!(monitor.view(at(3), ROOM).rate, 0);
    assert_eq!(monitor.view(at(9), ROOM).rate, 0);
}
