//! The table of settings as text, so that the documentation cannot drift from the program.

use std::fmt::Write;

use super::settings::{self, Setting, Status};

/// Every setting of Celery as Markdown: those that this version uses, with their meaning, and those it refuses, with
/// the reason.
///
/// # Examples
/// ```
/// let text = celery_core::config::settings_reference();
/// assert!(text.contains("| `task_acks_late` | bool | `false` |"));
/// ```
pub fn settings_reference() -> String {
    let mut text = String::from(
        "### Used\n\n| Setting | Type | Default | Old name | Meaning |\n|---|---|---|---|---|\n",
    );
    for setting in settings::all() {
        if let Status::Used(meaning) = setting.status {
            let Setting { name, kind, default, .. } = setting;
            let kind = kind.name();
            let old = if setting.is_ours() { "ours" } else { &old_name(setting) };
            push_row(&mut text, &[&code(name), kind, &code(default), old, meaning]);
        }
    }
    text.push_str("\nCelery has none of those that are *ours*, and overlooks them.\n");
    text.push_str("\n### Refused\n\n| Setting | Old name | Values that change nothing | Why others are refused |\n|---|---|---|---|\n");
    for setting in settings::all() {
        if let Status::Refused { why, also } = setting.status {
            let mut allowed = code(setting.default);
            for value in also {
                allowed.push_str(", ");
                allowed.push_str(&code(value));
            }
            push_row(&mut text, &[&code(setting.name), &old_name(setting), &allowed, why]);
        }
    }
    text
}

fn push_row(text: &mut String, cells: &[&str]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn old_name(setting: &Setting) -> String {
    setting.old_name().map_or_else(|| "none".to_owned(), |old| code(&old))
}
