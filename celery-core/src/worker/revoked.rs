//! What is revoked: looked up in memory, and kept in the broker for workers that start later.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;

use super::node::Node;
use crate::{
    broker::{BrokerError, Keep},
    clock,
    control::revoked::{self, Kind},
    error::Error,
    exception::Exception,
    expiring::ExpiringSet,
    protocol::TaskMessage,
    value::Value,
};

/// How long a command waits for the broker to remember what it revokes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is revoked, as far as this worker knows: no more, and for no longer, than Celery keeps.
#[derive(Debug)]
pub(super) struct Revoked {
    keep: Keep,
    /// Whether there has ever been anything.
    any: AtomicBool,
    ids: Mutex<ExpiringSet>,
    stamps: Mutex<ExpiringSet>,
}

/// Why a request is not run, or not to its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Revocation {
    /// It was not begun in time.
    Expired,
    /// Its id is revoked.
    ById,
    /// It has a stamp that is revoked.
    ByStamp {
        /// The name of the stamp.
        name: String,
        /// Its value.
        value: Value,
    },
    /// It was terminated while it ran, with the signal of that number.
    Terminated(i32),
}

impl Revocation {
    /// What is stored of it.
    pub(super) fn exception(&self) -> Exception {
        let reason = match self {
            Self::Expired => "expired",
            Self::ById | Self::ByStamp { .. } => "revoked",
            Self::Terminated(_) => "terminated",
        };
        Exception::new("TaskRevokedError", "celery.exceptions", reason)
    }
}

impl Revoked {
    pub(super) fn new(keep: Keep) -> Self {
        Self { keep, any: AtomicBool::default(), ids: Mutex::default(), stamps: Mutex::default() }
    }

    /// The ids, in the order in which they were revoked.
    pub(super) fn all(&self) -> Vec<String> {
        lock(&self.ids).iter(clock::now()).map(str::to_owned).collect()
    }

    /// The stamps, in the order in which they were revoked, each as it is kept.
    pub(super) fn stamps(&self) -> Vec<String> {
        lock(&self.stamps).iter(clock::now()).map(str::to_owned).collect()
    }

    /// Takes in what is revoked, by word of another worker or of the broker. It is known from now on for as long as
    /// what is revoked now.
    pub(super) fn merge(&self, kind: Kind, revoked: impl IntoIterator<Item = String>) {
        let now = clock::now();
        let until = now.checked_add(self.keep.time).unwrap_or(jiff::Timestamp::MAX);
        let mut revoked = revoked.into_iter().peekable();
        if revoked.peek().is_some() {
            self.any.store(true, Ordering::Release);
        }
        let mut set = lock(match kind {
            Kind::Ids => &self.ids,
            Kind::Stamps => &self.stamps,
        });
        revoked.for_each(|one| set.insert(one, until, self.keep.most, now));
    }

    /// Whether that is known to be revoked.
    pub(super) fn knows(&self, kind: Kind, what: &str) -> bool {
        match kind {
            Kind::Ids => lock(&self.ids).contains(what),
            Kind::Stamps => lock(&self.stamps).contains(what),
        }
    }

    /// Whether the message is revoked, and by what.
    pub(super) fn find(&self, message: &TaskMessage) -> Option<Revocation> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        if lock(&self.ids).contains(&message.id) {
            return Some(Revocation::ById);
        }
        let names = message.headers.stamped_headers.as_deref().unwrap_or_default();
        if names.is_empty() || lock(&self.stamps).is_empty() {
            return None;
        }
        names.iter().filter_map(Value::as_str).find_map(|name| {
            let values = revoked::values(message.headers.stamps.get(name)?);
            let stamps = lock(&self.stamps);
            let value =
                values.iter().find(|value| stamps.contains(&revoked::stamp(name, value)))?;
            Some(Revocation::ByStamp { name: name.to_owned(), value: value.clone() })
        })
    }
}

impl Node {
    /// Revokes: from now on here, and for workers that start later by the broker's word.
    pub(super) async fn revoke(&self, kind: Kind, what: Vec<String>) {
        self.revoked.merge(kind, what.iter().cloned());
        let remember = async {
            let broker = self.app.broker().await?.as_ref();
            Ok::<_, Error>(revoked::remember(broker, kind, &what, self.app.revokes()).await?)
        };
        let failed = match timeout(PATIENCE, remember).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(late) => BrokerError::connection_lost(late).into(),
        };
        tracing::warn!(
            error = &failed as &dyn std::error::Error,
            "the broker could not be told of what is revoked; workers that start later do not know it"
        );
    }

    /// Takes in what the broker knows to be revoked.
    ///
    /// # Errors
    /// When the connection is lost. Any other trouble is logged, since a worker can do without.
    pub(super) async fn recall_revoked(&self) -> Result<(), Error> {
        let broker = self.app.broker().await?.as_ref();
        for kind in [Kind::Ids, Kind::Stamps] {
            match revoked::remembered(broker, kind).await {
                Ok(known) => self.revoked.merge(kind, known),
                Err(lost @ BrokerError::ConnectionLost(_)) => return Err(lost.into()),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the broker does not tell what is revoked"
                    );
                }
            }
        }
        Ok(())
    }
}

fn lock(of: &Mutex<ExpiringSet>) -> MutexGuard<'_, ExpiringSet> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::broker::KeepFrom;

    const KEEP: Keep = Keep { time: Duration::from_secs(60), most: 1_000, from: KeepFrom::LastDue };

    fn stamped(stamps: Value) -> TaskMessage {
        let mut message = TaskMessage { id: "a".to_owned(), ..TaskMessage::default() };
        let Value::Object(stamps) = stamps else { panic!("stamps are a map") };
        message.headers.stamped_headers =
            Some(stamps.keys().map(|name| json!(name)).chain([json!("missing")]).collect());
        message.headers.stamps = stamps;
        message
    }

    #[test]
    fn a_task_is_revoked_by_its_id() {
        let revoked = Revoked::new(KEEP);
        revoked.merge(Kind::Ids, ["b".to_owned(), "a".to_owned(), "b".to_owned()]);
        assert_eq!(revoked.all(), ["a", "b"]);
        assert_eq!(revoked.find(&stamped(json!({}))), Some(Revocation::ById));
    }

    #[test]
    fn a_task_is_revoked_by_any_of_the_values_of_a_stamp() {
        let revoked = Revoked::new(KEEP);
        let headers = json!({ "team": ["red", "blue"], "number": 3 });
        let headers = headers.as_object().unwrap();
        revoked.merge(Kind::Stamps, revoked::stamps(headers));
        let found = |stamps: Value| match revoked.find(&stamped(stamps)) {
            Some(Revocation::ByStamp { name, value }) => Some((name, value)),
            None => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(found(json!({ "team": "blue" })), Some(("team".to_owned(), json!("blue"))));
        assert_eq!(
            found(json!({ "x": 1, "team": ["green", "red"] })),
            Some(("team".to_owned(), json!("red")))
        );
        assert_eq!(found(json!({ "number": 3 })), Some(("number".to_owned(), json!(3))));
        assert_eq!(found(json!({ "team": "green", "other": "blue" })), None);
        assert_eq!(found(json!({})), None);
        let unnamed = TaskMessage {
            headers: crate::protocol::TaskHeaders {
                stamped_headers: None,
                ..stamped(json!({ "team": "blue" })).headers
            },
            ..TaskMessage::default()
        };
        assert_eq!(revoked.find(&unnamed), None);
    }
}
