//! A reusable app: tasks that count, fail, retry and wait. It knows no app instance.

pub mod tasks;
pub mod widgets;
