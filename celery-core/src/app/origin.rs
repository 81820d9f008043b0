//! Who this process is to others: the names in the messages that it sends.

use uuid::Uuid;

/// The names by which others know this process.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// `gen<pid>@<host>`.
    pub(super) name: String,
    /// The queue for answers to this app: stable for as long as the app lives.
    pub(super) reply_to: String,
}

impl Origin {
    pub(super) fn of_this_process() -> Self {
        Self {
            name: format!("gen{}@{}", std::process::id(), host_name()),
            reply_to: Uuid::new_v4().to_string(),
        }
    }
}

/// The name of this machine.
pub(super) fn host_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

impl super::Celery {
    /// The queue that answers to this app's remote control and tasks go to, under that id.
    pub fn reply_id(&self) -> &str {
        &self.inner.origin.reply_to
    }

    /// The node name of this process as a client: `gen<pid>@<host>`.
    pub(crate) fn origin_name(&self) -> &str {
        &self.inner.origin.name
    }

    /// The node name that a worker of the app has by default: `celery@<host>`; `%h` in a given name is the host's.
    pub fn node_name(name: Option<&str>) -> String {
        let host = host_name();
        match name {
            None | Some("") => format!("celery@{host}"),
            Some(name) if name.contains('@') => name.replace("%h", &host),
            Some(name) => format!("{}@{host}", name.replace("%h", &host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Celery;

    #[test]
    fn a_node_name_is_completed_with_the_host() {
        let host = host_name();
        assert_eq!(Celery::node_name(None), format!("celery@{host}"));
        assert_eq!(Celery::node_name(Some("w1")), format!("w1@{host}"));
        assert_eq!(Celery::node_name(Some("w1@%h")), format!("w1@{host}"));
        assert_eq!(Celery::node_name(Some("w1@here")), "w1@here");
    }
}
