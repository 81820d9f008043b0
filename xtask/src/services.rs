//! Everything that the tests need from outside, and the environment that leads them there.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::thread;

use crate::Layout;
use crate::failure::Failure;
use crate::redis::Redis;
use crate::{packages, python};

/// Running servers; dropping them ends them.
#[derive(Debug)]
pub(crate) struct Services {
    redis: Redis,
    python: PathBuf,
    /// What a program for a terminal is run in.
    tmux: PathBuf,
    /// What Flower's pages are looked at with.
    chromium: PathBuf,
}

impl Services {
    pub(crate) fn start(layout: &Layout) -> Result<Self, Failure> {
        fs::create_dir_all(&layout.own).map_err(|error| {
            Failure::new(
                format!("cannot make {}: {error}", layout.own.display()),
                "make the target folder writable",
            )
        })?;
        let python = python::ready(layout)?;
        let tmux = packages::find_or_install("tmux", &packages::TMUX)?;
        let chromium = packages::find_or_install("chromium", &packages::CHROMIUM)?;
        let redis = Redis::start(layout)?;
        println!("xtask: Redis answers at {}", redis.url());
        Ok(Self { redis, python, tmux, chromium })
    }

    /// What the tests read. A test that finds its variable missing fails and names `cargo xtask test`.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 5] {
        [
            ("CELERY_TEST_REDIS_URL", self.redis.url().into()),
            ("CELERY_TEST_REDIS_TLS_URL", self.redis.tls_url().into()),
            ("CELERY_TEST_PYTHON", self.python.clone().into()),
            ("CELERY_TEST_TMUX", self.tmux.clone().into()),
            ("CELERY_TEST_CHROMIUM", self.chromium.clone().into()),
        ]
    }
}

/// `cargo xtask services`: holds the servers until this process is interrupted.
pub(crate) fn hold(layout: &Layout) -> Result<(), Failure> {
    let services = Services::start(layout)?;
    for (name, value) in services.environment() {
        println!("export {name}={}", quote(&value.to_string_lossy()));
    }
    println!("xtask: the servers run until Ctrl-C");
    loop {
        thread::park();
    }
}

/// Quotes a value for a shell.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_survives_the_shell() {
        assert_eq!(quote("rediss://h/0?a=1&b=2"), "'rediss://h/0?a=1&b=2'");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
