//! Real Python Celery beside us, in both directions: one tells the other what to do, and each reads what the other
//! wrote.
//!
//! A test has a namespace of its own on the server (a `global_keyprefix`), starts Python workers as processes and runs
//! ours inside itself. Many cases share one Python process, which prints what came of each.

mod calls_from_python;
mod calls_from_rust;
mod canvas_for_python;
mod canvas_tasks;
mod canvases;
mod control;
mod fleet;
mod matrix;
mod recovery;
mod results;
mod routes;
pub(crate) mod rust;
mod state;
mod tasks;
