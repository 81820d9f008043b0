//! The command line of the project: `cargo run -p mysite -- worker -l INFO`.

mod celery;
mod settings;

use std::process::ExitCode;

use crate::settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    ::celery::cli::run(|| celery::app(&Settings::load()?)).await
}
