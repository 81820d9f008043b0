//! Settings that Celery has not.

use super::{Setting, settings, used};

pub(super) const OURS: &[Setting] = settings! {
    task_max_deliveries, none, Int = "5",
        used("how often a worker, or a child process, may be lost that has a message, until the message is set aside and its \
              task has failed; null or 0 means without limit");
};
