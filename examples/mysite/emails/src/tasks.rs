//! The tasks.

use celery::prelude::*;

use crate::{Email, EmailError, Mailer};

/// Welcomes a user, and returns the path of the mail. A user is welcomed once, however often the task runs.
#[shared_task(autoretry_for = [std::io::Error], retry_backoff, max_retries = 5, acks_late)]
pub fn send_welcome_email(
    user_id: i64,
    #[default = "there".to_owned()] name: String,
    #[state] mailer: Mailer,
) -> Result<String, EmailError> {
    let id = format!("welcome-{user_id}");
    let to = format!("user{user_id}@mysite.example");
    let body = format!("Hello {name},\n\nthanks for signing up.\n");
    let path = mailer.send(Email { id: &id, to: &to, subject: "Welcome!", body: &body })?;
    Ok(path.display().to_string())
}
