//! Where tasks go: from the name of a task to a queue, and from the name of a queue to how it is bound.
//!
//! [`Routes`] is the setting `task_routes`, [`Queues`] is `task_queues` and what surrounds it. Both are read once, and
//! whatever is wrong with them is said then.

pub(crate) mod glob;
mod queues;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use glob::Glob;
pub use queues::{QueueDefaults, Queues, UnknownQueue};

use crate::value::{Map, Value};

/// The setting `task_routes`: routers, of which the first that knows a task decides.
///
/// A router is a dictionary, or a list of pairs, from the name of a task to its [`Route`]. A name with a `*` in it is a
/// pattern, in which `?` is any character and `[a-z]` or `[!a-z]` one of a set; like a name, it stands for whole names.
/// Within a router exact names come before patterns, and patterns are tried in order.
///
/// ```
/// use celery_core::routing::Routes;
/// use serde_json::json;
///
/// let routes = Routes::parse(&json!({
///     "video.*": { "queue": "media", "priority": 3 },
///     "video.thumbnail": "fast",
/// }))?;
/// assert_eq!(routes.lookup("video.encode").unwrap().queue.as_deref(), Some("media"));
/// assert_eq!(routes.lookup("video.thumbnail").unwrap().queue.as_deref(), Some("fast"));
/// assert!(routes.lookup("audio.encode").is_none());
/// # Ok::<_, celery_core::routing::RouteError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Routes {
    routers: Vec<Router>,
}

/// Where a task goes. What it leaves open is taken from the queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// The queue.
    pub queue: Option<String>,
    /// The exchange, instead of the queue's.
    pub exchange: Option<String>,
    /// The routing key, instead of the queue's.
    pub routing_key: Option<String>,
    /// The priority.
    pub priority: Option<i64>,
    /// What else the task is to be called with.
    pub extra: Map,
}

#[derive(Clone, Debug, Default)]
struct Router {
    exact: HashMap<String, Route>,
    patterns: Vec<(Glob, Route)>,
}

/// A setting about routes or queues that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// A router that is Python code.
    #[error(
        "the router `{0}` is a Python function or class, which cannot be called from here; \
         write its routes as a dictionary from task names or patterns to queues"
    )]
    Function(String),
    /// What should hold routes is something else.
    #[error("expected {expected}, and found `{found}`")]
    Shape {
        /// What would do.
        expected: &'static str,
        /// What is there, as JSON.
        found: String,
    },
    /// The route of a task.
    #[error("the route of `{task}` {reason}")]
    Route {
        /// The name, or the pattern.
        task: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A queue.
    #[error("the queue `{queue}` {reason}")]
    Queue {
        /// Its name.
        queue: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Routes {
    /// Reads the setting: null, a router, or a list of routers. A list of pairs is a router, too.
    ///
    /// # Errors
    ///
    /// [`RouteError`] names the route and what is wrong with it.
    pub fn parse(setting: &Value) -> Result<Self, RouteError> {
        let routers = match setting {
            Value::Null => Vec::new(),
            Value::Array(routers) if !routers.is_empty() && routers.iter().all(is_pair) => {
                vec![Router::parse(setting)?]
            }
            Value::Array(routers) => routers.iter().map(Router::parse).collect::<Result<_, _>>()?,
            router => vec![Router::parse(router)?],
        };
        Ok(Self { routers })
    }

    /// The route of a task, if there is one.
    pub fn lookup(&self, task: &str) -> Option<&Route> {
        self.routers.iter().find_map(|router| router.lookup(task))
    }
}

impl Router {
    fn parse(router: &Value) -> Result<Self, RouteError> {
        let mut parsed = Self::default();
        match router {
            Value::Object(routes) => {
                for (task, route) in routes {
                    parsed.add(task, route)?;
                }
            }
            Value::String(function) => return Err(RouteError::Function(function.clone())),
            pair if is_pair(pair) => parsed.add_pair(pair)?,
            Value::Array(pairs) => {
                for pair in pairs {
                    parsed.add_pair(pair)?;
                }
            }
            other => {
                return Err(shape(
                    "a dictionary or a list of pairs from task names to routes",
                    other,
                ));
            }
        }
        Ok(parsed)
    }

    fn add_pair(&mut self, pair: &Value) -> Result<(), RouteError> {
        match pair.as_array().map(Vec::as_slice) {
            Some([Value::String(task), route]) => self.add(task, route),
            _ => Err(shape("a pair of a task's name or pattern and its route", pair)),
        }
    }

    fn add(&mut self, task: &str, route: &Value) -> Result<(), RouteError> {
        let route = Route::parse(route)
            .map_err(|reason| RouteError::Route { task: task.to_owned(), reason })?;
        if task.contains('*') {
            self.patterns.push((Glob::new(task), route));
        } else {
            self.exact.insert(task.to_owned(), route);
        }
        Ok(())
    }

    fn lookup(&self, task: &str) -> Option<&Route> {
        let by_pattern =
            || self.patterns.iter().find(|(glob, _)| glob.matches(task)).map(|(_, route)| route);
        self.exact.get(task).or_else(by_pattern)
    }
}

impl Route {
    fn parse(route: &Value) -> Result<Self, String> {
        let options = match route {
            Value::String(queue) if queue.is_empty() => return Err("is an empty name".to_owned()),
            Value::String(queue) => {
                return Ok(Self { queue: Some(queue.clone()), ..Self::default() });
            }
            Value::Object(options) => options,
            other => {
                return Err(format!(
                    "is `{other}`, and should be the name of a queue or a dictionary of options"
                ));
            }
        };
        let mut route = Self::default();
        for (key, value) in options {
            match &**key {
                "queue" => route.queue = name(key, value)?,
                "exchange" => route.exchange = text(key, value)?,
                "routing_key" => route.routing_key = text(key, value)?,
                "priority" => {
                    route.priority = match value {
                        Value::Null => None,
                        Value::Number(number) if number.is_i64() => number.as_i64(),
                        other => {
                            return Err(format!(
                                "has the `priority` `{other}`, and it should be a whole number"
                            ));
                        }
                    }
                }
                other => {
                    if let Some(meant) =
                        did_you_mean(other, ["queue", "exchange", "routing_key", "priority"])
                    {
                        return Err(format!(
                            "has the option `{other}`, which there is not; did you mean `{meant}`?"
                        ));
                    }
                    route.extra.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(route)
    }
}

fn is_pair(value: &Value) -> bool {
    value.as_array().is_some_and(|pair| pair.first().is_some_and(Value::is_string))
}

fn shape(expected: &'static str, found: &Value) -> RouteError {
    RouteError::Shape { expected, found: found.to_string() }
}

/// Text that may be null, or empty.
fn text(key: &str, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        other => Err(format!("has the `{key}` `{other}`, and it should be text")),
    }
}

/// Text that may be null, and not empty.
fn name(key: &str, value: &Value) -> Result<Option<String>, String> {
    let name = text(key, value)?;
    if name.as_deref() == Some("") { Err(format!("has an empty `{key}`")) } else { Ok(name) }
}

/// The known name that was probably meant.
fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.85;
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(given, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}
