//! The `celery` program: the commands that need no code of tasks, and the way to programs that have it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    celery::cli::program().await
}
