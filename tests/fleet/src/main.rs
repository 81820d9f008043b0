//! A worker as a process of its own: the settings come from the test that starts it, in the variable `FLEET_CONF`.

mod canvas;
mod commands;
mod hazards;
mod in_code;
mod tasks;

use std::process::ExitCode;

use celery::{Celery, Error};
use peers::{Ledger, Space};
use serde_json::Value;

fn app() -> Result<Celery, Error> {
    let settings = std::env::var("FLEET_CONF").expect("a test starts this program");
    let settings: Value = serde_json::from_str(&settings).expect("the test writes JSON");
    let app = Celery::builder("fleet").environment_from([]).config_from_object(&settings, "")?;
    match std::env::var("FLEET_STATE").as_deref() {
        Ok("none") => app.build(),
        _ => {
            let space = Space::of(&settings);
            let (starting, ending) = (space.clone(), space.clone());
            app.state(space)
                .state(Ledger::of_this_program())
                .state(hazards::BuiltIn(std::process::id()))
                .worker_process_init(move |_| start(starting.clone()))
                .worker_process_shutdown(move |_| {
                    let space = ending.clone();
                    async move { space.enter("shutdown").await }
                })
                .build()
        }
    }
}

/// Fails where a test wants to see a child that does not start.
async fn start(space: Space) -> Result<(), std::io::Error> {
    match std::env::var("FLEET_INIT").as_deref() {
        Ok("fail") => Err(std::io::Error::other("no licence")),
        Ok("hang") => std::future::pending().await,
        _ => {
            space.enter("init").await;
            Ok(())
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // A child that is slow to start: its standard input is the socket, at which nobody has looked.
    if std::env::var_os("FLEET_CHILD").is_some() && std::env::var_os("CELERY_POOL_SOCKET").is_some()
    {
        let settings = std::env::var("FLEET_CONF").expect("a test starts this program");
        let space = Space::of(&serde_json::from_str(&settings).expect("the test writes JSON"));
        space.enter("late").await;
        space.pass("late").await;
    }
    let done = match std::env::var("FLEET_MAIN").as_deref() {
        Ok("two") => in_code::two(&app().expect("settings that are right")).await,
        Ok("dropped") => in_code::dropped(&app().expect("settings that are right")).await,
        Ok("embedded") => in_code::embedded().await,
        _ => return celery::cli::run(app).await,
    };
    done.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
