//! What can be set on a task: a const builder, one field and one function an option.
//!
//! The macros know none of these names: `#[shared_task(max_retries = 5, acks_late)]` becomes
//! `Options::new().max_retries(5).acks_late(true)`, so a misspelt option is rustc's own error on the user's word.
//! An option that is not set falls back on the setting of the same name, and then on Celery's default.

mod annotations;
mod by_name;
mod error_type;
mod hooks;

use std::time::Duration;

pub(crate) use self::annotations::Annotations;
pub use self::{
    error_type::ErrorType,
    hooks::{AfterReturn, BeforeStart, OnFailure, OnRetry, OnSuccess},
};
use crate::{
    rate::Rate,
    value::{Map, Value},
};

/// Makes a name to show out of positional and keyword arguments.
pub type ShadowName = fn(&[Value], &Map) -> Option<String>;

/// The options of a task, as its attribute sets them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Acknowledge after the task ran instead of just before. Falls back on `task_acks_late`.
    pub acks_late: Option<bool>,
    /// With `acks_late`: acknowledge also when the task failed. Falls back on `task_acks_on_failure`.
    pub acks_on_failure: Option<bool>,
    /// With `acks_late`: acknowledge also when the task hit its hard time limit. Falls back on `task_acks_on_timeout`.
    pub acks_on_timeout: Option<bool>,
    /// The older option for both of the above, for where neither they nor their settings say anything.
    pub acks_on_failure_or_timeout: Option<bool>,
    /// How often the task may be retried; `None` means for ever.
    pub max_retries: Option<u32>,
    /// The delay before a retry that names none.
    pub default_retry_delay: Duration,
    /// Errors upon which the task is retried by itself.
    pub autoretry_for: &'static [ErrorType],
    /// Errors upon which it is not, whatever `autoretry_for` says.
    pub dont_autoretry_for: &'static [ErrorType],
    /// Errors that are expected: the task fails with them, and the log tells of it as of something usual.
    pub throws: &'static [ErrorType],
    /// The factor, in seconds, of the exponential back-off of automatic retries; 0 for none.
    pub retry_backoff: u64,
    /// The longest back-off.
    pub retry_backoff_max: Duration,
    /// Whether the back-off is a random part of what it would be.
    pub retry_jitter: bool,
    /// How often the task may begin on each worker, as [`Rate`] reads it. Falls back on `task_default_rate_limit`.
    pub rate_limit: Option<&'static str>,
    /// After how long the task is stopped. Falls back on `task_time_limit`.
    pub time_limit: Option<Duration>,
    /// After how long the task is told to stop. Falls back on `task_soft_time_limit`.
    pub soft_time_limit: Option<Duration>,
    /// Store no result. Falls back on `task_ignore_result`.
    pub ignore_result: Option<bool>,
    /// Store failures although results are ignored. Falls back on `task_store_errors_even_if_ignored`.
    pub store_errors_even_if_ignored: Option<bool>,
    /// Store `STARTED` when the task begins. Falls back on `task_track_started`.
    pub track_started: Option<bool>,
    /// Whether the tasks that a run of this one sends are kept as the children of its result.
    pub trail: bool,
    /// A name to show instead of the task's in logs and monitors.
    pub shadow: Option<&'static str>,
    /// Makes that name from the arguments of a call; without an answer it is [`shadow`](Self::shadow).
    pub shadow_name: Option<ShadowName>,
    /// About how many characters of a result are shown in logs and events.
    pub resultrepr_maxsize: usize,
    /// The priority that it is sent with. Falls back on `task_default_priority`.
    pub priority: Option<u8>,
    /// The queue that it is sent to, unless a route or the caller says otherwise.
    pub queue: Option<&'static str>,
    /// The exchange that it is sent to.
    pub exchange: Option<&'static str>,
    /// The routing key that it is sent with.
    pub routing_key: Option<&'static str>,
    /// The serializer of its messages. Falls back on `task_serializer`.
    pub serializer: Option<&'static str>,
    /// The compression of its messages. Falls back on `task_compression`.
    pub compression: Option<&'static str>,
    /// After how long a message that was not run is void.
    pub expires: Option<Duration>,
    /// Called before each run.
    pub before_start: Option<BeforeStart>,
    /// Called when the task returned.
    pub on_success: Option<OnSuccess>,
    /// Called when the task failed.
    pub on_failure: Option<OnFailure>,
    /// Called when the task is to be tried again.
    pub on_retry: Option<OnRetry>,
    /// Called after a run that succeeded or failed.
    pub after_return: Option<AfterReturn>,
    /// Whether events tell of it, where its worker sends events.
    pub send_events: bool,
    /// Run in a child process, whatever the pool of the worker.
    pub isolate: bool,
    /// With `acks_late`: put the message back when the child process died. Falls back on `task_reject_on_worker_lost`.
    pub reject_on_worker_lost: Option<bool>,
    /// Retry when the child process died. Falls back on `task_retry_on_worker_lost`.
    pub retry_on_worker_lost: Option<bool>,
}

impl Options {
    /// Celery's defaults.
    pub const fn new() -> Self {
        Self {
            acks_late: None,
            acks_on_failure: None,
            acks_on_timeout: None,
            acks_on_failure_or_timeout: None,
            max_retries: Some(3),
            default_retry_delay: Duration::from_secs(180),
            autoretry_for: &[],
            dont_autoretry_for: &[],
            throws: &[],
            retry_backoff: 0,
            retry_backoff_max: Duration::from_secs(600),
            retry_jitter: true,
            rate_limit: None,
            time_limit: None,
            soft_time_limit: None,
            ignore_result: None,
            store_errors_even_if_ignored: None,
            track_started: None,
            trail: true,
            shadow: None,
            shadow_name: None,
            resultrepr_maxsize: 1024,
            priority: None,
            queue: None,
            exchange: None,
            routing_key: None,
            serializer: None,
            compression: None,
            expires: None,
            before_start: None,
            on_success: None,
            on_failure: None,
            on_retry: None,
            after_return: None,
            send_events: true,
            isolate: false,
            reject_on_worker_lost: None,
            retry_on_worker_lost: None,
        }
    }

    /// Sets [`acks_late`](Self::acks_late).
    pub const fn acks_late(mut self, on: bool) -> Self {
        self.acks_late = Some(on);
        self
    }

    /// Sets [`acks_on_failure`](Self::acks_on_failure).
    pub const fn acks_on_failure(mut self, on: bool) -> Self {
        self.acks_on_failure = Some(on);
        self
    }

    /// Sets [`acks_on_timeout`](Self::acks_on_timeout).
    pub const fn acks_on_timeout(mut self, on: bool) -> Self {
        self.acks_on_timeout = Some(on);
        self
    }

    /// Sets [`acks_on_failure_or_timeout`](Self::acks_on_failure_or_timeout).
    pub const fn acks_on_failure_or_timeout(mut self, on: bool) -> Self {
        self.acks_on_failure_or_timeout = Some(on);
        self
    }

    /// Sets [`isolate`](Self::isolate).
    pub const fn isolate(mut self, on: bool) -> Self {
        self.isolate = on;
        self
    }

    /// Sets [`reject_on_worker_lost`](Self::reject_on_worker_lost).
    pub const fn reject_on_worker_lost(mut self, on: bool) -> Self {
        self.reject_on_worker_lost = Some(on);
        self
    }

    /// Sets [`retry_on_worker_lost`](Self::retry_on_worker_lost).
    pub const fn retry_on_worker_lost(mut self, on: bool) -> Self {
        self.retry_on_worker_lost = Some(on);
        self
    }

    /// Sets [`max_retries`](Self::max_retries).
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Takes away the limit of [`max_retries`](Self::max_retries), as `max_retries=None` does in Python.
    pub const fn unlimited_retries(mut self, on: bool) -> Self {
        if on {
            self.max_retries = None;
        }
        self
    }

    /// Sets [`default_retry_delay`](Self::default_retry_delay), in seconds.
    pub const fn default_retry_delay(mut self, seconds: u64) -> Self {
        self.default_retry_delay = Duration::from_secs(seconds);
        self
    }

    /// Sets [`autoretry_for`](Self::autoretry_for).
    pub const fn autoretry_for(mut self, errors: &'static [ErrorType]) -> Self {
        self.autoretry_for = errors;
        self
    }

    /// Sets [`dont_autoretry_for`](Self::dont_autoretry_for).
    pub const fn dont_autoretry_for(mut self, errors: &'static [ErrorType]) -> Self {
        self.dont_autoretry_for = errors;
        self
    }

    /// Sets [`throws`](Self::throws).
    pub const fn throws(mut self, errors: &'static [ErrorType]) -> Self {
        self.throws = errors;
        self
    }

    /// Turns the back-off on, with a factor of one second, or off.
    pub const fn retry_backoff(mut self, on: bool) -> Self {
        self.retry_backoff = on as u64;
        self
    }

    /// Turns the back-off on, with a factor of that many seconds, as `retry_backoff=5` does in Python.
    pub const fn retry_backoff_factor(mut self, seconds: u64) -> Self {
        self.retry_backoff = seconds;
        self
    }

    /// Sets [`retry_backoff_max`](Self::retry_backoff_max), in seconds.
    pub const fn retry_backoff_max(mut self, seconds: u64) -> Self {
        self.retry_backoff_max = Duration::from_secs(seconds);
        self
    }

    /// Sets [`retry_jitter`](Self::retry_jitter).
    pub const fn retry_jitter(mut self, on: bool) -> Self {
        self.retry_jitter = on;
        self
    }

    /// Sets [`rate_limit`](Self::rate_limit): `"10/m"`.
    ///
    /// # Panics
    /// When it is no rate, which in the attribute of a task is an error of the compiler.
    pub const fn rate_limit(mut self, limit: &'static str) -> Self {
        assert!(
            Rate::read(limit).is_ok(),
            "a rate limit is how many tasks may begin in a second, a minute or an hour: \"10/s\", \"10/m\" or \"10/h\"; \"0\" is no limit"
        );
        self.rate_limit = Some(limit);
        self
    }

    /// Sets [`time_limit`](Self::time_limit), in seconds.
    pub const fn time_limit(mut self, seconds: u64) -> Self {
        self.time_limit = Some(Duration::from_secs(seconds));
        self
    }

    /// Sets [`soft_time_limit`](Self::soft_time_limit), in seconds.
    pub const fn soft_time_limit(mut self, seconds: u64) -> Self {
        self.soft_time_limit = Some(Duration::from_secs(seconds));
        self
    }

    /// Sets [`ignore_result`](Self::ignore_result).
    pub const fn ignore_result(mut self, on: bool) -> Self {
        self.ignore_result = Some(on);
        self
    }

    /// Sets [`store_errors_even_if_ignored`](Self::store_errors_even_if_ignored).
    pub const fn store_errors_even_if_ignored(mut self, on: bool) -> Self {
        self.store_errors_even_if_ignored = Some(on);
        self
    }

    /// Sets [`track_started`](Self::track_started).
    pub const fn track_started(mut self, on: bool) -> Self {
        self.track_started = Some(on);
        self
    }

    /// Sets [`trail`](Self::trail).
    pub const fn trail(mut self, on: bool) -> Self {
        self.trail = on;
        self
    }

    /// Sets [`shadow`](Self::shadow).
    pub const fn shadow(mut self, name: &'static str) -> Self {
        self.shadow = Some(name);
        self
    }

    /// Sets [`shadow_name`](Self::shadow_name).
    pub const fn shadow_name(mut self, name: ShadowName) -> Self {
        self.shadow_name = Some(name);
        self
    }

    /// Sets [`resultrepr_maxsize`](Self::resultrepr_maxsize).
    pub const fn resultrepr_maxsize(mut self, characters: usize) -> Self {
        self.resultrepr_maxsize = characters;
        self
    }

    /// Sets [`priority`](Self::priority).
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets [`queue`](Self::queue).
    pub const fn queue(mut self, name: &'static str) -> Self {
        self.queue = Some(name);
        self
    }

    /// Sets [`exchange`](Self::exchange).
    pub const fn exchange(mut self, name: &'static str) -> Self {
        self.exchange = Some(name);
        self
    }

    /// Sets [`routing_key`](Self::routing_key).
    pub const fn routing_key(mut self, key: &'static str) -> Self {
        self.routing_key = Some(key);
        self
    }

    /// Sets [`serializer`](Self::serializer).
    pub const fn serializer(mut self, name: &'static str) -> Self {
        self.serializer = Some(name);
        self
    }

    /// Sets [`compression`](Self::compression).
    pub const fn compression(mut self, name: &'static str) -> Self {
        self.compression = Some(name);
        self
    }

    /// Sets [`expires`](Self::expires), in seconds.
    pub const fn expires(mut self, seconds: u64) -> Self {
        self.expires = Some(Duration::from_secs(seconds));
        self
    }

    /// Sets [`send_events`](Self::send_events).
    pub const fn send_events(mut self, on: bool) -> Self {
        self.send_events = on;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
