//! Who is told of which events.

use std::{collections::HashMap, fmt};

use super::Event;

/// Functions by the types of the events that they are called with. `*` is for every type that has no other.
///
/// ```
/// use celery_core::events::{Event, Handlers};
/// use serde_json::Map;
///
/// let (mut failed, mut others) = (0, 0);
/// let mut handlers = Handlers::new().on("task-failed", |_| failed += 1).on("*", |_| others += 1);
/// for kind in ["task-started", "task-failed", "worker-heartbeat"] {
///     handlers.handle(&Event::new(kind, Map::new()));
/// }
/// drop(handlers);
/// assert_eq!((failed, others), (1, 2));
/// ```
#[derive(Default)]
pub struct Handlers<'a> {
    by_kind: HashMap<String, Handler<'a>>,
}

type Handler<'a> = Box<dyn FnMut(&Event) + Send + 'a>;

impl<'a> Handlers<'a> {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls the function with events of that type.
    pub fn on(mut self, kind: impl Into<String>, handler: impl FnMut(&Event) + Send + 'a) -> Self {
        self.by_kind.insert(kind.into(), Box::new(handler));
        self
    }

    /// Calls the function for the event, if there is one.
    pub fn handle(&mut self, event: &Event) {
        let key = if self.by_kind.contains_key(event.kind()) { event.kind() } else { "*" };
        if let Some(handler) = self.by_kind.get_mut(key) {
            handler(event);
        }
    }
}

impl fmt::Debug for Handlers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_kind.keys()).finish()
    }
}
