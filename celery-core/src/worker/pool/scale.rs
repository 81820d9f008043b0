//! How many tasks may run at once, as remote control and the autoscaler change it while the worker runs.

use std::{
    env,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    value::Value,
    worker::{Autoscale, node::Node},
};

/// The most places that a pool may have.
pub(in crate::worker) const MOST: usize = 65_535;

/// The variable of the environment with the seconds between scaling down.
const KEEPALIVE: &str = "AUTOSCALE_KEEPALIVE";

/// Grows the pool when there is more to do than places, and shrinks it when there has been less for a while.
#[derive(Debug)]
pub(in crate::worker) struct Autoscaler {
    range: Mutex<Autoscale>,
    times: Mutex<Times>,
    keepalive: Duration,
}

/// When something happened last that speaks against shrinking.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    grown: Option<Instant>,
    received: Option<Instant>,
}

impl Autoscaler {
    /// One for that range, with the pause of the environment.
    ///
    /// # Errors
    /// When that is none.
    pub(in crate::worker) fn new(range: Autoscale) -> Result<Self, String> {
        let keepalive = match env::var(KEEPALIVE) {
            Err(_) => Duration::from_secs(30),
            Ok(text) => text
                .trim()
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .filter(|keepalive| !keepalive.is_zero())
                .ok_or_else(|| {
                    format!("the variable {KEEPALIVE} is a number of seconds above 0, not `{text}`")
                })?,
        };
        Ok(Self { range: Mutex::new(range), times: Mutex::default(), keepalive })
    }

    /// The range.
    pub(in crate::worker) fn range(&self) -> Autoscale {
        *lock(&self.range)
    }
}

impl Node {
    /// Adds places, as many as a pool may have.
    pub(in crate::worker) fn grow(&self, by: usize) {
        let room = MOST.saturating_sub(self.slots.count());
        let size = self.slots.grow(by.min(room));
        self.pool.resize(size);
    }

    /// Takes places away, down to one. What runs there is not disturbed.
    pub(in crate::worker) fn shrink(&self, by: usize) {
        let size = self.slots.shrink(by);
        self.pool.resize(size);
    }

    /// Holds as many messages as belong to so many places.
    pub(in crate::worker) fn hold_for(&self, places: usize) {
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        self.intake.set_prefetch(places.saturating_mul(self.prefetch_multiplier));
    }

    /// Notes that a request was received, which may want a place more.
    pub(in crate::worker) fn scale_for_one_more(&self) {
        if let Some(scaler) = &self.autoscaler {
            lock(&scaler.times).received = Some(Instant::now());
            self.scale(scaler);
        }
    }

    /// Looks from time to time whether there are places too many, until that is enough.
    pub(in crate::worker) async fn keep_scaling(self: Arc<Self>, enough: CancellationToken) {
        let Some(scaler) = &self.autoscaler else { return };
        while enough.run_until_cancelled(sleep(scaler.keepalive)).await.is_some() {
            self.scale(scaler);
        }
    }

    fn scale(&self, scaler: &Autoscaler) {
        let (range, wanted, places) = (scaler.range(), self.requests.count(), self.slots.count());
        if wanted.min(range.max) > places {
            let by = wanted.min(range.max) - places;
            lock(&scaler.times).grown = Some(Instant::now());
            tracing::info!(target: "celery::worker", "Scaling up {by} processes.");
            self.grow(by);
        } else if wanted.max(range.min).max(1) < places {
            let times = *lock(&scaler.times);
            let is_quiet = times.grown.max(times.received);
            if is_quiet.is_some_and(|since| since.elapsed() > scaler.keepalive) {
                let by = places - wanted.max(range.min).max(1);
                tracing::info!(target: "celery::worker", "Scaling down {by} processes.");
                self.shrink(by);
            }
        }
    }

    /// Sets the range of the autoscaler, where one is given; returns it. Nothing where there is no autoscaler.
    pub(in crate::worker) fn set_range(
        &self,
        max: Option<usize>,
        min: Option<usize>,
    ) -> Option<Autoscale> {
        let scaler = self.autoscaler.as_ref()?;
        let places = self.slots.count();
        if let Some(max) = max {
            self.shrink(places.saturating_sub(max));
            self.hold_for(max.max(1));
            lock(&scaler.range).max = max;
        }
        if let Some(min) = min {
            self.grow(min.saturating_sub(self.slots.count()));
            lock(&scaler.range).min = min;
        }
        Some(scaler.range())
    }

    /// The autoscaler as the `stats` command shows it, where there is one.
    pub(in crate::worker) fn autoscaler_info(&self) -> Option<Value> {
        let Autoscale { max, min } = self.autoscaler.as_ref()?.range();
        let (current, wanted) = (self.slots.count(), self.requests.count());
        Some(json!({ "max": max, "min": min, "current": current, "qty": wanted }))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
