//! Reads options out of a map, and says what is wrong with them.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use celery_core::{
    config::Secret,
    envelope::BodyEncoding,
    value::{Map, Value},
};

use super::{Keepalive, QueueOrder, Registry};
use crate::{address::ssl_from, error::BadOption, servers::SentinelOptions};

pub(super) struct Reader<'a> {
    /// What the options were given as, for messages.
    setting: &'static str,
    given: &'a Map,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(setting: &'static str, given: &'a Map) -> Self {
        Self { setting, given, known: RefCell::default() }
    }

    fn get(&self, name: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().insert(name);
        self.given.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn refuse(&self, name: &str, why: &str) -> BadOption {
        BadOption(format!("`{name}` in {}: {why}", self.setting))
    }

    fn expected(&self, name: &str, value: &Value, what: &str) -> BadOption {
        self.refuse(name, &format!("expected {what}, got {value}"))
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, BadOption> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.expected(name, other, "text")),
        }
    }

    pub(super) fn boolean(&self, name: &'static str, default: bool) -> Result<bool, BadOption> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::Number(number)) if number.as_i64() == Some(0) => Ok(false),
            Some(Value::Number(number)) if number.as_i64() == Some(1) => Ok(true),
            Some(other) => Err(self.expected(name, other, "true or false")),
        }
    }

    /// A time above zero; 0 means none, as it does in Python.
    pub(super) fn seconds(&self, name: &'static str) -> Result<Option<Duration>, BadOption> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_f64().map(Duration::try_from_secs_f64) {
            Some(Ok(Duration::ZERO)) => Ok(None),
            Some(Ok(time)) => Ok(Some(time)),
            _ => Err(self.expected(name, value, "a number of seconds")),
        }
    }

    pub(super) fn count(&self, name: &'static str) -> Result<Option<u64>, BadOption> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(0) => Ok(None),
                Some(count) => Ok(Some(count)),
                None => Err(self.expected(name, value, "a whole number")),
            },
        }
    }

    pub(super) fn worker_timeout(&self) -> Result<u32, BadOption> {
        let name = "worker_timeout";
        let Some(value) = self.get(name) else { return Ok(30) };
        let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        let wanted = "a whole number of seconds, 3 or more";
        seconds.filter(|seconds| *seconds >= 3).ok_or_else(|| self.expected(name, value, wanted))
    }

    pub(super) fn steps(&self) -> Result<Vec<i64>, BadOption> {
        let name = "priority_steps";
        let Some(value) = self.get(name) else { return Ok(vec![0, 3, 6, 9]) };
        let wrong =
            || self.expected(name, value, "a list of priorities from 0 to 9, such as [0, 3, 6, 9]");
        let steps = value.as_array().ok_or_else(wrong)?;
        let mut steps: Vec<i64> =
            steps.iter().map(Value::as_i64).collect::<Option<_>>().ok_or_else(wrong)?;
        steps.sort_unstable();
        steps.dedup();
        if steps.is_empty() || steps.iter().any(|step| !(0..=9).contains(step)) {
            return Err(wrong());
        }
        Ok(steps)
    }

    pub(super) fn fanout_prefix(&self, db: i64) -> Result<String, BadOption> {
        let name = "fanout_prefix";
        let default = || format!("/{db}.");
        match self.get(name) {
            None | Some(Value::Bool(true)) => Ok(default()),
            Some(Value::Bool(false)) => Ok(String::new()),
            Some(Value::String(prefix)) => {
                let prefix = prefix.replace("{db}", &db.to_string());
                let fits = prefix.is_empty()
                    || prefix.starts_with('/') && prefix.find('.') == Some(prefix.len() - 1);
                if fits {
                    Ok(prefix)
                } else {
                    let why = "Python's workers need it to start with `/` and to have one dot, at its end, such as `/mine.`";
                    Err(self.refuse(name, why))
                }
            }
            Some(other) => Err(self.expected(name, other, "true, false or text such as `/mine.`")),
        }
    }

    pub(super) fn registry(&self) -> Result<Registry, BadOption> {
        let name = "delivery_registry";
        match self.get(name) {
            None => Ok(Registry::Pending),
            Some(Value::String(text)) if text == "pending" => Ok(Registry::Pending),
            Some(Value::String(text)) if text == "unacked" => Ok(Registry::Unacked),
            Some(other) => Err(self.expected(name, other, "`pending` or `unacked`")),
        }
    }

    pub(super) fn order(&self) -> Result<QueueOrder, BadOption> {
        let name = "queue_order_strategy";
        match self.get(name) {
            None => Ok(QueueOrder::Priority),
            Some(Value::String(text)) if text == "round_robin" => Ok(QueueOrder::RoundRobin),
            Some(Value::String(text)) if text == "priority" => Ok(QueueOrder::Priority),
            Some(Value::String(text)) if text == "sorted" => Ok(QueueOrder::Sorted),
            Some(other) => Err(self.expected(name, other, "`round_robin`, `priority` or `sorted`")),
        }
    }

    pub(super) fn body_encoding(&self) -> Result<BodyEncoding, BadOption> {
        let name = "body_encoding";
        self.known.borrow_mut().insert(name);
        match self.given.get(name) {
            None => Ok(BodyEncoding::Base64),
            Some(Value::Null) => Ok(BodyEncoding::Utf8),
            Some(Value::String(text)) => BodyEncoding::from_name(text).ok_or_else(|| {
                self.refuse(name, &format!("expected `base64` or `utf-8`, got `{text}`"))
            }),
            Some(other) => Err(self.expected(name, other, "`base64` or `utf-8`")),
        }
    }

    /// Which master sentinels are asked for, and how they are reached themselves.
    pub(super) fn sentinel(&self) -> Result<SentinelOptions, BadOption> {
        let name = "sentinel_kwargs";
        let mut sentinel = SentinelOptions {
            setting: self.setting,
            master_name: self.text("master_name")?.filter(|name| !name.is_empty()),
            min_other_sentinels: self.count("min_other_sentinels")?.unwrap_or(0),
            ..SentinelOptions::default()
        };
        let given = match self.get(name) {
            None => return Ok(sentinel),
            Some(Value::Object(given)) => given,
            Some(other) => return Err(self.expected(name, other, "a dictionary of options")),
        };
        let (mut ssl, mut tls) = (false, Map::new());
        for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            let expected = |what| self.refuse(name, &format!("expected {what} as `{key}`"));
            let text = || value.as_str().ok_or_else(|| expected("text"));
            match key.as_str() {
                "username" => sentinel.username = Some(text()?.to_owned()),
                "password" => sentinel.password = Some(Secret::new(text()?)),
                "ssl" => ssl = value.as_bool().ok_or_else(|| expected("true or false"))?,
                key if key.starts_with("ssl_") => _ = tls.insert(key.to_owned(), value.clone()),
                "socket_timeout" | "socket_connect_timeout" => {
                    let seconds = value.as_f64().map(Duration::try_from_secs_f64);
                    let Some(Ok(time)) = seconds else { return Err(expected("seconds")) };
                    sentinel.timeout = Some(sentinel.timeout.map_or(time, |it| it.max(time)));
                }
                _ => {
                    let known = "username, password, ssl, ssl_cert_reqs, ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_check_hostname, socket_timeout and socket_connect_timeout";
                    return Err(self
                        .refuse(name, &format!("there is no option `{key}`; there are {known}")));
                }
            }
        }
        if !ssl && !tls.is_empty() {
            return Err(self.refuse(name, "options that start with `ssl_` need `ssl: true`"));
        }
        let tls = ssl_from(&mut tls).map_err(|why| self.refuse(name, &why))?;
        sentinel.ssl = ssl.then(|| tls.unwrap_or_default());
        Ok(sentinel)
    }

    /// Python names the TCP options by number or by name; both are read.
    pub(super) fn keepalive(&self) -> Result<Option<Keepalive>, BadOption> {
        let on = self.boolean("socket_keepalive", false)?;
        let name = "socket_keepalive_options";
        let options = match self.get(name) {
            None => return Ok(on.then(Keepalive::default)),
            Some(Value::Object(options)) => options,
            Some(other) => return Err(self.expected(name, other, "a dictionary of TCP options")),
        };
        let mut keepalive = Keepalive::default();
        for (key, value) in options {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            let number = number.ok_or_else(|| self.expected(name, value, "whole numbers"))?;
            let time = Duration::from_secs(number.into());
            match key.as_str() {
                "TCP_KEEPIDLE" | "4" => keepalive.idle = Some(time),
                "TCP_KEEPINTVL" | "5" => keepalive.interval = Some(time),
                "TCP_KEEPCNT" | "6" => keepalive.retries = Some(number),
                other => {
                    let why = format!(
                        "expected TCP_KEEPIDLE, TCP_KEEPINTVL or TCP_KEEPCNT, got `{other}`"
                    );
                    return Err(self.refuse(name, &why));
                }
            }
        }
        Ok(on.then_some(keepalive))
    }

    /// Complains about what is refused or not known, and notes what has no meaning here.
    pub(super) fn finish(
        self,
        without_meaning: &[(&'static str, &str)],
        refused: &[(&'static str, &str)],
    ) -> Result<(), BadOption> {
        let known = self.known.borrow();
        for (name, value) in self.given {
            if known.contains(name.as_str()) {
                continue;
            }
            if let Some((_, why)) = refused.iter().find(|(refused, _)| refused == name) {
                if value.is_null() {
                    continue;
                }
                return Err(self.refuse(name, why));
            }
            if let Some((_, why)) = without_meaning.iter().find(|(ignored, _)| ignored == name) {
                tracing::debug!("`{name}` in {} has no effect here: {why}", self.setting);
                continue;
            }
            let all = known.iter().copied().chain(without_meaning.iter().map(|(name, _)| *name));
            let near = all.map(|known| (strsim::jaro_winkler(known, name), known));
            let near =
                near.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
            return Err(match near {
                Some((_, near)) => {
                    self.refuse(name, &format!("there is no such option; did you mean `{near}`?"))
                }
                None => self.refuse(name, "there is no such option; remove it"),
            });
        }
        Ok(())
    }
}
