//! What the tests of a fleet share: a namespace on the server, and programs that run beside the test, Python's Celery
//! among them.
//!
//! Nothing here sleeps. What is waited for comes within [`LIMIT`], or the test fails and shows what the programs said.

mod ledger;
mod process;
mod proxy;
mod python;
mod server;
mod space;

pub use self::{
    ledger::{Book, Ledger, Run, Runs},
    process::{Process, run},
    proxy::{Proxy, Towards},
    python::{PythonWorker, Report, celery_command, python, scenario},
    server::{Cluster, Sentinels, Server, until},
    space::{LIMIT, Space, service},
};
