//! A worker as a process of its own: the settings come from the test that starts it, in the variable `FLEET_CONF`.

mod tasks;

use std::process::ExitCode;

use celery::{Celery, Error};
use peers::Space;
use serde_json::Value;

fn app() -> Result<Celery, Error> {
    let settings = std::env::var("FLEET_CONF").expect("a test starts this program");
    let settings: Value = serde_json::from_str(&settings).expect("the test writes JSON");
    let app = Celery::builder("fleet").environment_from([]).config_from_object(&settings, "")?;
    match std::env::var("FLEET_STATE").as_deref() {
        Ok("none") => app.build(),
        _ => app.state(Space::of(&settings)).build(),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    celery::cli::run(app).await
}
