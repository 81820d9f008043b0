//! When a server last answered.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// When the server last answered a consumer: written by its driver, and read by whoever asks how it does.
#[derive(Clone, Debug)]
pub struct Contact {
    last: Arc<Mutex<Instant>>,
    every: Duration,
}

impl Contact {
    /// There is an answer now, and from then on one in `every`, as long as the connection is sound.
    pub fn new(every: Duration) -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())), every }
    }

    /// With a broker within this process, which needs no connection.
    pub fn constant() -> Self {
        Self::new(Duration::MAX)
    }

    /// Notes an answer.
    pub fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago the last answer was.
    pub fn age(&self) -> Duration {
        if self.every == Duration::MAX {
            return Duration::ZERO;
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// In what time there is an answer, as long as the connection is sound.
    pub fn every(&self) -> Duration {
        self.every
    }
}
