//! Words that must not stand in Rust code: unfinished work, tests that do not run, sleeping, names that say nothing.

use super::File;
use super::lexer::{Token, begins, inside, lex};

/// Modules whose name says nothing about what is in them, so that anything ends there.
const EMPTY_NAMES: [&str; 4] = ["common", "helpers", "types", "utils"];

/// Complains of each such word in a Rust file.
pub(super) fn check(file: &File) -> Vec<String> {
    let Some(tokens) = lex(&file.text) else {
        // rustc's own complaint may be what such a case shows.
        let is_shown_to_fail = file.path.contains("tests/ui/");
        return if is_shown_to_fail { vec![] } else { vec![format!("{}: is not Rust", file.path)] };
    };
    let is_test_file = file.path.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
    // Under paused time, sleeping is a way to say when something happens, and takes no time.
    let pauses = tokens.iter().any(|token| token.word() == Some("start_paused"));
    let mut tests_until = if is_test_file { tokens.len() } else { 0 };
    let mut complaints = Vec::new();
    for at in 0..tokens.len() {
        let rest = &tokens[at..];
        if begins(rest, "mod tests {") {
            tests_until = tests_until.max(at + inside(&rest[2..]).len());
        }
        let is_test = at < tests_until;
        if let Some(complaint) =
            unfinished(rest).or_else(|| is_test.then(|| sleeps(rest, pauses)).flatten())
        {
            complaints.push(format!("{}: {complaint}", file.path));
        }
    }
    complaints
}

fn unfinished(tokens: &[Token]) -> Option<String> {
    for name in ["todo", "unimplemented"] {
        if begins(tokens, &format!("{name} !")) {
            return Some(format!(
                "{name}! promises what is not there: write it, or leave the item out"
            ));
        }
    }
    let is_ignored = begins(tokens, "# [ ignore")
        || begins(tokens, "# [ cfg_attr (")
            && inside(&tokens[3..]).iter().any(|token| token.word() == Some("ignore"));
    if is_ignored {
        return Some("an ignored test proves nothing: make it pass, or remove it".to_owned());
    }
    let name = tokens.get(1).and_then(Token::word).filter(|name| EMPTY_NAMES.contains(name));
    match name {
        Some(name) if begins(tokens, "mod") => {
            Some(format!("a module called {name}: name it for what it does"))
        }
        _ => None,
    }
}

fn sleeps(tokens: &[Token], pauses: bool) -> Option<String> {
    let is_thread = begins(tokens, "thread : :");
    if !is_thread && (pauses || !begins(tokens, "time : :")) {
        return None;
    }
    let named = match tokens.get(3..)? {
        named @ [Token::Open(_), ..] => inside(named),
        named => named.get(..1)?,
    };
    let is_sleep = |token: &Token| matches!(token.word(), Some("sleep" | "sleep_until"));
    named.iter().any(is_sleep).then(|| {
        "a test that sleeps: pause the time, or wait for the event with a limit".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        check(&File { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn unfinished_code_is_refused() {
        assert_eq!(complaints("src/a.rs", "fn f() { todo!() }"), 1);
        assert_eq!(complaints("src/a.rs", "fn f() { unimplemented!(\"later\") }"), 1);
        assert_eq!(complaints("src/a.rs", "/// todo!()\nfn todo() { \"todo!()\"; }"), 0);
    }

    #[test]
    fn an_ignored_test_is_refused() {
        assert_eq!(complaints("src/a.rs", "#[test] #[ignore] fn f() {}"), 1);
        assert_eq!(complaints("src/a.rs", "#[test] #[ignore = \"slow\"] fn f() {}"), 1);
        assert_eq!(
            complaints("src/a.rs", "#[test] #[cfg_attr(not(feature = \"a\"), ignore)] fn f() {}"),
            1
        );
        assert_eq!(complaints("src/a.rs", "fn ignore() {}"), 0);
    }

    #[test]
    fn a_test_that_sleeps_is_refused() {
        let texts = [
            "fn f() { std::thread::sleep(D); }",
            "async fn f() { tokio::time::sleep(D).await; }",
            "async fn f() { time::sleep_until(T).await; }",
            "use std::thread::sleep;",
            "use tokio::time::{Duration, sleep};",
        ];
        for text in texts {
            assert_eq!(complaints("tests/it/a.rs", text), 1, "{text}");
            assert_eq!(complaints("src/a/tests.rs", text), 1, "{text}");
            assert_eq!(
                complaints("src/a.rs", &format!("fn g() {{}} #[cfg(test)] mod tests {{ {text} }}")),
                1,
                "{text}"
            );
            assert_eq!(complaints("src/a.rs", text), 0, "{text}");
            assert_eq!(
                complaints("src/a.rs", &format!("mod tests {{ use super::*; }} {text}")),
                0,
                "{text}"
            );
        }
    }

    #[test]
    fn a_test_of_paused_time_may_sleep_in_it_but_never_block() {
        let paused = "#[tokio::test(start_paused = true)] async fn f()";
        assert_eq!(
            complaints("tests/it/a.rs", &format!("{paused} {{ tokio::time::sleep(D).await; }}")),
            0
        );
        assert_eq!(
            complaints("tests/it/a.rs", &format!("{paused} {{ std::thread::sleep(D); }}")),
            1
        );
    }

    #[test]
    fn a_module_whose_name_says_nothing_is_refused() {
        for name in EMPTY_NAMES {
            assert_eq!(complaints("src/a.rs", &format!("mod {name};")), 1, "{name}");
            assert_eq!(complaints("src/a.rs", &format!("pub mod {name} {{}}")), 1, "{name}");
        }
        assert_eq!(complaints("src/a.rs", "mod message;"), 0);
    }

    #[test]
    fn what_is_not_rust_is_refused_unless_that_is_the_point() {
        assert_eq!(complaints("src/a.rs", "fn f( {"), 1);
        assert_eq!(complaints("tests/ui/a.rs", "fn f( {"), 0);
    }
}
