//! Sentinels: they are asked for the master each time that a connection is made.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use celery_core::config::{Secret, SslOptions};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ProtocolVersion, RedisConnectionInfo, cmd,
};

use crate::{
    address::{Addresses, at},
    connection::Server,
    error::{BadOption, Fault, Step},
    options::LinkOptions,
};

/// What the transport options say of sentinels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SentinelOptions {
    /// The setting that they are in.
    pub(crate) setting: &'static str,
    pub(crate) master_name: Option<String>,
    pub(crate) min_other_sentinels: u64,
    /// How the sentinels themselves are reached, which have users and certificates of their own.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) ssl: Option<SslOptions>,
    pub(crate) timeout: Option<Duration>,
}

/// The sentinels of one master.
pub(super) struct Sentinels {
    sentinels: Vec<Server>,
    /// How the master is connected to, wherever it is.
    like: Server,
    name: String,
    options: SentinelOptions,
    /// Which of them answered last.
    at: AtomicUsize,
}

impl SentinelOptions {
    /// The sentinels that the URL names, if it names any.
    pub(super) fn apply(self, addresses: &Addresses) -> Result<Option<Sentinels>, BadOption> {
        let setting = self.setting;
        let name = match (addresses.are_sentinels, &self.master_name) {
            (true, Some(name)) => name.clone(),
            (true, None) => {
                let shown = addresses.shown();
                return Err(BadOption(format!(
                    "`{shown}` needs `master_name` in `{setting}`: the name by which the sentinels know the master"
                )));
            }
            (false, Some(_)) => {
                return Err(BadOption(format!(
                    "`master_name` in {setting}: the URL names no sentinels; use `sentinel://`, or remove it"
                )));
            }
            (false, None) => return Ok(None),
        };
        let sentinels = addresses.servers.iter().map(|server| self.reach(server));
        Ok(Some(Sentinels {
            sentinels: sentinels.collect::<Result<_, _>>()?,
            like: addresses.servers[0].clone(),
            name,
            options: self,
            at: AtomicUsize::new(0),
        }))
    }

    fn reach(&self, server: &Server) -> Result<Server, BadOption> {
        let (host, port) = at::place(&server.info);
        // Sentinels of old do not know the newer protocol, and nothing of it is needed.
        let mut login = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2);
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose());
        }
        let info = at::reach(host, port, self.ssl.as_ref())?.set_redis_settings(login);
        Ok(Server { info, shown: server.shown.clone() })
    }
}

impl Sentinels {
    /// The master, as the first sentinel has it that knows one.
    pub(super) async fn master(&self, options: &LinkOptions) -> Result<Server, Fault> {
        let (count, first) = (self.sentinels.len(), self.at.load(Ordering::Relaxed));
        let mut faults = Vec::new();
        for at in (first..first + count).map(|at| at % count) {
            match self.ask(&self.sentinels[at], options).await {
                Ok(master) => {
                    self.at.store(at, Ordering::Relaxed);
                    return Ok(master);
                }
                Err(fault) => faults.push(fault),
            }
        }
        Err(Fault::of_all(faults))
    }

    async fn ask(&self, sentinel: &Server, options: &LinkOptions) -> Result<Server, Fault> {
        let limit = Some(self.options.timeout.unwrap_or(options.connect_timeout));
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(limit).set_response_timeout(limit);
        let answer = async {
            let client = Client::open(sentinel.info.clone())?;
            let mut connection =
                client.get_multiplexed_async_connection_with_config(&config).await?;
            let asking = cmd("SENTINEL").arg("MASTER").arg(&self.name).to_owned();
            asking.query_async::<HashMap<String, String>>(&mut connection).await
        };
        let master = answer.await.map_err(|error| {
            if error.to_string().contains("No such master") {
                self.knows_none(sentinel)
            } else {
                Fault::new(&sentinel.shown, &error)
            }
        })?;
        self.judge(&master).map_err(|why| Fault::with(Step::Move, &sentinel.shown, why))?;
        let place = || Some((master.get("ip")?.clone(), master.get("port")?.parse().ok()?));
        let (host, port) = place()
            .ok_or_else(|| Fault::other(&sentinel.shown, "it does not say where the master is"))?;
        Ok(at::another(&self.like, &host, port))
    }

    fn knows_none(&self, sentinel: &Server) -> Fault {
        let (name, setting) = (&self.name, self.options.setting);
        let why = format!(
            "the sentinel knows no master `{name}`: `master_name` in `{setting}` must be one that it monitors"
        );
        Fault::refused(&sentinel.shown, why)
    }

    /// Whether the sentinel's word is to be relied upon.
    fn judge(&self, master: &HashMap<String, String>) -> Result<(), String> {
        let of = |name: &str| master.get(name).map_or("", String::as_str);
        let name = &self.name;
        let is_down = |flag: &str| matches!(flag, "s_down" | "o_down" | "disconnected");
        if of("flags").split(',').any(is_down) {
            return Err(format!("the master `{name}` is down, and no other is elected yet"));
        }
        let others = of("num-other-sentinels").parse().unwrap_or(0);
        if others < self.options.min_other_sentinels {
            let least = self.options.min_other_sentinels;
            return Err(format!(
                "the sentinel sees {others} others, which `min_other_sentinels` ({least}) does not trust"
            ));
        }
        Ok(())
    }
}
