//! What may be left out comes last.

use celery::prelude::*;

#[control_command]
async fn grow(panel: &Panel, #[default = 1] by: u32, why: String) {
    panel.set_prefetch(by + why.len() as u32);
}

fn main() {}
