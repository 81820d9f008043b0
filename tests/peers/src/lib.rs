//! What the tests of a fleet share: a namespace on the server, and programs that run beside the test, Python's Celery
//! among them.
//!
//! Nothing here sleeps. What is waited for comes within [`LIMIT`], or the test fails and shows what the programs said.

mod process;
mod python;
mod space;

pub use self::{
    process::{Process, run},
    python::{PythonWorker, Report, celery_command, python, scenario},
    space::{LIMIT, Space, service},
};
