//! From which queue to which.

use std::str::FromStr;

use celery_core::{
    broker::{ExchangeKind, Queue},
    routing::Queues,
};

/// A queue that is asked for, and its name at the destination: `from`, or `from:to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rename {
    from: String,
    to: String,
}

impl FromStr for Rename {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        let (from, to) = (from.trim(), to.trim());
        if from.is_empty() || to.is_empty() {
            return Err(
                "the name of a queue is empty: write `queue`, or `queue:name at the destination`"
                    .to_owned(),
            );
        }
        Ok(Self { from: from.to_owned(), to: to.to_owned() })
    }
}

/// A queue at the source, and the one at the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) from: Queue,
    pub(super) to: Queue,
}

impl Route {
    /// The routes of those that are asked for, or of all queues that keep messages.
    pub(super) fn all(asked: &[Rename], known: &Queues) -> Result<Vec<Self>, String> {
        if asked.is_empty() {
            let kept = known.iter().filter(|queue| queue.exchange.kind != ExchangeKind::Fanout);
            return Ok(kept.map(|queue| Self { from: queue.clone(), to: queue.clone() }).collect());
        }
        let route = |rename: &Rename| {
            let from = known.get_or_create(&rename.from).map_err(|error| error.to_string())?;
            Ok(Self { to: renamed(&from, &rename.to), from })
        };
        asked.iter().map(route).collect()
    }
}

/// The queue under another name. What is named after it, as Celery names exchange and routing key, gets the name too.
fn renamed(queue: &Queue, to: &str) -> Queue {
    let mut new = queue.clone();
    for name in [&mut new.name, &mut new.routing_key, &mut new.exchange.name] {
        if *name == queue.name {
            to.clone_into(name);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use celery_core::{app::Celery, broker::Exchange};

    use super::*;

    fn routes(asked: &[&str]) -> Result<Vec<(String, String)>, String> {
        let queues = serde_json::json!({
            "mail": {},
            "news": { "exchange": "news", "exchange_type": "fanout" },
        });
        let app = Celery::builder("test")
            .environment_from([])
            .set("task_queues", queues)
            .build()
            .unwrap();
        let asked: Vec<Rename> = asked.iter().map(|text| text.parse().unwrap()).collect();
        let routes = Route::all(&asked, app.queues())?;
        Ok(routes.into_iter().map(|route| (route.from.name, route.to.name)).collect())
    }

    fn pair(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn all_queues_that_keep_messages_are_meant_unless_some_are_named() {
        assert_eq!(routes(&[]).unwrap(), [pair("mail", "mail")]);
        assert_eq!(
            routes(&["mail: post", "other"]).unwrap(),
            [pair("mail", "post"), pair("other", "other")]
        );
    }

    #[test]
    fn what_is_named_after_the_queue_is_renamed_with_it() {
        assert_eq!(renamed(&Queue::named("a"), "b"), Queue::named("b"));
        let topic = Queue {
            exchange: Exchange::topic("news"),
            routing_key: "x.#".to_owned(),
            ..Queue::named("a")
        };
        assert_eq!(renamed(&topic, "b"), Queue { name: "b".to_owned(), ..topic });
    }

    #[test]
    fn a_queue_without_a_name_is_refused() {
        for text in ["", ":b", "a:", " : "] {
            assert!(text.parse::<Rename>().is_err(), "{text:?}");
        }
    }
}
