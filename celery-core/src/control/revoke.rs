//! The client's half of revoking: a request to the workers, and a note for those that start later.

use std::time::Duration;

use serde_json::json;

use super::{
    Broadcast, Control,
    revoked::{self, Kind},
    signal,
};
use crate::{
    app::Celery,
    error::Error,
    result::{AsyncResult, ResultSet},
    value::{Map, Value},
};

impl Control {
    /// Asks the workers not to run the tasks with these ids.
    ///
    /// A task that runs already goes on, unless the request is made one to [`terminate`](Revoke::terminate) it.
    ///
    /// ```no_run
    /// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
    /// app.control().revoke(["d9078da5-9915-40a0-bfa1-392c7bde42ed"]).terminate("SIGKILL").send().await?;
    /// # Ok(()) }
    /// ```
    pub fn revoke<I>(&self, ids: I) -> Revoke
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Revoke::new(&self.app, What::Ids(ids.into_iter().map(Into::into).collect()))
    }

    /// Asks the workers not to run the tasks that have one of these stamps. The value of a header is a stamp, or a
    /// list of them.
    ///
    /// ```no_run
    /// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
    /// app.control().revoke_by_stamped_headers([("team", "blue")]).send().await?;
    /// # Ok(()) }
    /// ```
    pub fn revoke_by_stamped_headers<I, N, V>(&self, headers: I) -> Revoke
    where
        I: IntoIterator<Item = (N, V)>,
        N: Into<String>,
        V: Into<Value>,
    {
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into()));
        Revoke::new(&self.app, What::Stamps(headers.collect()))
    }
}

impl<T> AsyncResult<T> {
    /// Asks the workers not to run the task. If it runs already, it goes on.
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker cannot be reached.
    pub async fn revoke(&self) -> Result<(), Error> {
        self.app().control().revoke(self.tree().leaves()).send().await
    }

    /// Asks the workers not to run the task, and ends it with the signal of that name, such as `SIGTERM`, if it runs.
    ///
    /// # Errors
    /// [`Error::Call`] when there is no such signal, [`Error::Broker`] when the broker cannot be reached.
    pub async fn terminate(&self, signal: impl Into<String> + Send) -> Result<(), Error> {
        self.app().control().revoke(self.tree().leaves()).terminate(signal).send().await
    }
}

impl<T> ResultSet<T> {
    /// Asks the workers not to run the tasks. Those that run already go on.
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker cannot be reached.
    pub async fn revoke(&self) -> Result<(), Error> {
        match self.revocation() {
            Some(request) => request.send().await,
            None => Ok(()),
        }
    }

    /// Asks the workers not to run the tasks, and ends those that run with the signal of that name, such as `SIGTERM`.
    ///
    /// # Errors
    /// [`Error::Call`] when there is no such signal, [`Error::Broker`] when the broker cannot be reached.
    pub async fn terminate(&self, signal: impl Into<String> + Send) -> Result<(), Error> {
        match self.revocation() {
            Some(request) => request.terminate(signal).send().await,
            None => Ok(()),
        }
    }

    /// One request for all of them.
    fn revocation(&self) -> Option<Revoke> {
        let app = self.results().first()?.app();
        let ids = self.results().iter().flat_map(|result| result.tree().leaves());
        Some(app.control().revoke(ids))
    }
}

/// A request to revoke, on its way to the workers.
///
/// It reaches the workers that listen. Where it is for all of them, the broker also remembers it for three hours, for
/// workers that start later, so that nobody needs to listen.
#[derive(Clone, Debug)]
#[must_use = "nothing is revoked before `send` or `replies`"]
pub struct Revoke {
    app: Celery,
    what: What,
    /// With which signal a task that runs is ended.
    terminate: Option<String>,
    destination: Vec<String>,
    timeout: Option<Duration>,
    limit: Option<usize>,
}

#[derive(Clone, Debug)]
enum What {
    Ids(Vec<String>),
    Stamps(Map),
}

impl Revoke {
    fn new(app: &Celery, what: What) -> Self {
        let app = app.clone();
        Self { app, what, terminate: None, destination: Vec::new(), timeout: None, limit: None }
    }

    /// Also ends the tasks if they run, with the signal of that name, such as `SIGTERM` or `KILL`.
    ///
    /// A task in a child process is sent the signal. An `async` task is dropped at its next `await`, whatever the
    /// signal. A function that runs inside a worker cannot be ended: it is recorded as revoked, and goes on.
    pub fn terminate(mut self, signal: impl Into<String>) -> Self {
        self.terminate = Some(signal.into());
        self
    }

    /// Asks only the workers of these node names, and lets the broker remember nothing. None at all means everyone.
    pub fn destination<I>(mut self, nodes: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.destination = nodes.into_iter().map(Into::into).collect();
        self
    }

    /// How long replies are collected: one second unless it is said.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Stops collecting after that many replies.
    pub fn limit(mut self, replies: usize) -> Self {
        self.limit = Some(replies);
        self
    }

    /// Sends it, and wants no reply.
    ///
    /// # Errors
    /// [`Error::Call`] when there is no such signal, [`Error::Broker`] when the broker cannot be reached.
    ///
    /// # Cancel safety
    /// A call that is dropped may or may not have revoked.
    pub async fn send(self) -> Result<(), Error> {
        self.prepare().await?.send().await
    }

    /// Sends it and collects the replies, by node name, in the order of their arrival.
    ///
    /// # Errors
    /// As for [`send`](Self::send). Nobody answering is no error.
    ///
    /// # Cancel safety
    /// As for [`send`](Self::send).
    pub async fn replies(self) -> Result<Vec<(String, Value)>, Error> {
        self.prepare().await?.replies().await
    }

    /// Lets the broker remember it, and makes the request.
    async fn prepare(self) -> Result<Broadcast, Error> {
        let signal = self.terminate.as_deref();
        signal::number(&json!(signal)).map_err(|error| Error::Call(error.to_string()))?;
        if self.destination.is_empty() {
            let broker = self.app.publisher().await?.as_ref();
            let keep = self.app.revokes();
            match &self.what {
                What::Ids(ids) => revoked::remember(broker, Kind::Ids, ids, keep).await?,
                What::Stamps(headers) => {
                    let stamps = revoked::stamps(headers);
                    revoked::remember(broker, Kind::Stamps, &stamps, keep).await?;
                }
            }
        }
        let (method, name, what) = match self.what {
            What::Ids(mut ids) if ids.len() == 1 => ("revoke", "task_id", json!(ids.remove(0))),
            What::Ids(ids) => ("revoke", "task_id", json!(ids)),
            What::Stamps(headers) => ("revoke_by_stamped_headers", "headers", json!(headers)),
        };
        let arguments = [
            (name.to_owned(), what),
            ("terminate".to_owned(), json!(self.terminate.is_some())),
            ("signal".to_owned(), json!(self.terminate.unwrap_or_else(|| "SIGTERM".to_owned()))),
        ];
        let mut request = self.app.control().broadcast(method, arguments.into_iter().collect());
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if let Some(limit) = self.limit {
            request = request.limit(limit);
        }
        Ok(request.destination(self.destination))
    }
}
