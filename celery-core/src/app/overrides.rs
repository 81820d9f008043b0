//! What the command line says over the head of the program that builds the app.

use std::cell::RefCell;

use crate::value::Value;

/// Settings that beat every source of the apps that are built under them: the options of a command line.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Stands for `CELERY_BROKER_URL`, as `-b` does.
    pub broker_url: Option<String>,
    /// Stands for `CELERY_RESULT_BACKEND`, as `--result-backend` does.
    pub result_backend: Option<String>,
    /// Other settings, by their names.
    pub settings: Vec<(String, Value)>,
}

thread_local! {
    static CURRENT: RefCell<Overrides> = RefCell::default();
}

impl Overrides {
    /// Runs the function, in which apps are built under these overrides.
    pub fn scope<R>(self, function: impl FnOnce() -> R) -> R {
        /// Puts back what was there, also when the function panics.
        struct Restore(Overrides);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(std::mem::take(&mut self.0));
            }
        }
        let _restore = Restore(CURRENT.replace(self));
        function()
    }

    /// Those in force here.
    pub(super) fn current() -> Self {
        CURRENT.with_borrow(Self::clone)
    }

    /// The variables of the environment that they stand for.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let broker = self.broker_url.as_ref().map(|url| ("CELERY_BROKER_URL", url));
        let backend = self.result_backend.as_ref().map(|url| ("CELERY_RESULT_BACKEND", url));
        broker.into_iter().chain(backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Celery;

    #[test]
    fn the_command_line_beats_the_environment_and_the_program() {
        let build = || {
            let variables = [("CELERY_BROKER_URL".to_owned(), "redis://environment".to_owned())];
            let builder =
                Celery::builder("test").environment_from(variables).set("worker_pool", "async");
            builder.build().unwrap()
        };
        let overrides = Overrides {
            broker_url: Some("redis://option".to_owned()),
            settings: vec![("worker_pool".to_owned(), "solo".into())],
            ..Overrides::default()
        };
        let app = overrides.scope(build);
        assert_eq!(app.broker_urls()[0].expose(), "redis://option");
        assert_eq!(app.config().worker.pool, crate::config::WorkerPool::Solo);
        assert_eq!(build().broker_urls()[0].expose(), "redis://environment");
    }
}
