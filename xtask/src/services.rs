//! Everything that the tests need from outside, and the environment that leads them there.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::thread;

use crate::Layout;
use crate::failure::Failure;
use crate::python;
use crate::redis::Redis;

/// Running servers; dropping them ends them.
#[derive(Debug)]
pub(crate) struct Services {
    redis: Redis,
    python: PathBuf,
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
        let redis = Redis::start(layout)?;
        println!("xtask: Redis answers at {}", redis.url());
        Ok(Self { redis, python })
    }

    /// What the tests read. A test that finds its variable missing fails and names `cargo xtask test`.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 3] {
        [
            ("CELERY_TEST_REDIS_URL", self.redis.url().into()),
            ("CELERY_TEST_REDIS_TLS_URL", self.redis.tls_url().into()),
            ("CELERY_TEST_PYTHON", self.python.clone().into()),
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
