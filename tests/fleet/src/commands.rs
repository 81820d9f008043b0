//! Commands of remote control that Celery has not. They are hidden, so that what `--list` shows is what Celery's shows.

use celery::prelude::*;

/// What the worker is called, and how many messages it holds at most.
#[inspect_command(hidden)]
async fn held_at_most(panel: &Panel, #[default = "so it is".to_owned()] note: String) -> Value {
    json!({ "most": panel.prefetch(), "node": panel.hostname(), "note": note })
}

/// Holds fewer messages at most.
#[control_command(hidden)]
fn hold_fewer(panel: &Panel, #[default = 1] by: u32) -> Result<Value, CommandError> {
    let most = panel.prefetch().checked_sub(by).filter(|most| *most > 0);
    let most = most.ok_or_else(|| CommandError::new("ValueError", "one is held at least"))?;
    panel.set_prefetch(most);
    Ok(json!({ "ok": format!("holds {most} at most") }))
}
