//! `Debug` for what holds arguments. Some of them are secrets, and which ones they are is known to their task alone.

use std::fmt;

use super::{Embed, RetryChanges, TaskHeaders, TaskMessage};
use crate::arguments::Hidden;

impl fmt::Debug for TaskMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As its sender wrote it, the display form has what the arguments have.
        let headers = TaskHeaders { argsrepr: None, kwargsrepr: None, ..self.headers.clone() };
        f.debug_struct("TaskMessage")
            .field("id", &self.id)
            .field("task", &self.task)
            .field("args", &Hidden(self.args.len()))
            .field("kwargs", &Hidden(self.kwargs.len()))
            .field("embed", &self.embed)
            .field("headers", &headers)
            .field("extra_headers", &self.extra_headers)
            .field("reply_to", &self.reply_to)
            .field("correlation_id", &self.correlation_id)
            .field("priority", &self.priority)
            .field("delivery_mode", &self.delivery_mode)
            .field("expiration", &self.expiration)
            .field("delivery_info", &self.delivery_info)
            .field("content_type", &self.content_type)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Embed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |of: &Option<Vec<_>>| of.as_ref().map(|of| Hidden(of.len()));
        f.debug_struct("Embed")
            .field("callbacks", &count(&self.callbacks))
            .field("errbacks", &count(&self.errbacks))
            .field("chain", &count(&self.chain))
            .field("chord", &self.chord.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RetryChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryChanges")
            .field("eta", &self.eta)
            .field("args", &self.args.as_ref().map(|args| Hidden(args.len())))
            .field("kwargs", &self.kwargs.as_ref().map(|kwargs| Hidden(kwargs.len())))
            .finish_non_exhaustive()
    }
}
