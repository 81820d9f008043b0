//! A reusable app: mail, put into a folder.

mod mailer;
pub mod tasks;

pub use mailer::{Email, EmailError, Mailer};
