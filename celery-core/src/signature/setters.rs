//! The options of a call as methods, for all that is called.

/// A method for each option that a caller can set, written once for signatures and groups: inside of an `impl` with `set`.
macro_rules! option_setters {
    () => {
        /// Runs it that many seconds from now, at the earliest.
        pub fn countdown(self, seconds: impl Into<f64>) -> Self {
            self.set(|options| options.eta = Some($crate::task::When::in_seconds(seconds.into())))
        }

        /// Runs it at that time, at the earliest.
        pub fn eta(self, at: jiff::Timestamp) -> Self {
            self.set(|options| options.eta = Some($crate::task::When::At(at)))
        }

        /// Does not run it unless it starts within that many seconds from now.
        pub fn expires(self, seconds: impl Into<f64>) -> Self {
            self.set(|options| {
                options.expires = Some($crate::task::When::in_seconds(seconds.into()))
            })
        }

        /// Does not run it unless it starts by that time.
        pub fn expires_at(self, at: jiff::Timestamp) -> Self {
            self.set(|options| options.expires = Some($crate::task::When::At(at)))
        }

        /// Sends it to that queue.
        pub fn queue(self, name: impl Into<String>) -> Self {
            self.set(|options| options.queue = Some(name.into()))
        }

        /// Sends it to that exchange.
        pub fn exchange(self, name: impl Into<String>) -> Self {
            self.set(|options| options.exchange = Some(name.into()))
        }

        /// Sends it with that routing key.
        pub fn routing_key(self, key: impl Into<String>) -> Self {
            self.set(|options| options.routing_key = Some(key.into()))
        }

        /// Sends it with that priority: on Redis 0 is served first, on RabbitMQ the highest.
        pub fn priority(self, priority: u8) -> Self {
            self.set(|options| options.priority = Some(priority.into()))
        }

        /// Adds a header to the message. A task finds it in [`Context::headers`](crate::context::Context::headers).
        pub fn header(
            self,
            name: impl Into<String>,
            value: impl Into<$crate::value::Value>,
        ) -> Self {
            self.set(|options| {
                options.headers.insert(name.into(), value.into());
            })
        }

        /// Gives it that id instead of a new one.
        pub fn task_id(self, id: impl Into<String>) -> Self {
            self.set(|options| options.task_id = Some(id.into()))
        }

        /// Shows that name instead of the task's in logs and monitors.
        pub fn shadow(self, name: impl Into<String>) -> Self {
            self.set(|options| options.shadow = Some(name.into()))
        }

        /// Serializes the message with `json`, `msgpack` or `yaml`.
        pub fn serializer(self, name: impl Into<String>) -> Self {
            self.set(|options| options.serializer = Some(name.into()))
        }

        /// Compresses the message with `zlib`, `bzip2` or `zstd`.
        pub fn compression(self, name: impl Into<String>) -> Self {
            self.set(|options| options.compression = Some(name.into()))
        }

        /// Shows that text in place of the positional arguments in logs and monitors.
        pub fn argsrepr(self, text: impl Into<String>) -> Self {
            self.set(|options| options.argsrepr = Some(text.into()))
        }

        /// Shows that text in place of the keyword arguments in logs and monitors.
        pub fn kwargsrepr(self, text: impl Into<String>) -> Self {
            self.set(|options| options.kwargsrepr = Some(text.into()))
        }

        /// Says whether the result is to be dropped, whatever the task says.
        pub fn ignore_result(self, on: bool) -> Self {
            self.set(|options| options.ignore_result = Some(on))
        }

        /// Stops the task after that many seconds, whatever its own limit is.
        pub fn time_limit(self, seconds: impl Into<f64>) -> Self {
            self.set(|options| options.time_limit = Some(seconds.into()))
        }

        /// Tells the task to stop after that many seconds, whatever its own limit is.
        pub fn soft_time_limit(self, seconds: impl Into<f64>) -> Self {
            self.set(|options| options.soft_time_limit = Some(seconds.into()))
        }
    };
}

pub(crate) use option_setters;
