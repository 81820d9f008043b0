//! What a signature stands for: one task, or several that belong together.

use serde_json::json;

use super::{BadSignature, CallOptions, Spec};
use crate::value::{Map, Value};

/// Whether a [`Spec`] is one task, or a workflow of several.
///
/// `celery.map`, `celery.starmap` and `celery.chunks` are tasks, as they are for Celery.
#[derive(Clone, Debug, Default)]
pub enum Kind {
    /// One task.
    #[default]
    Task,
    /// One after the other, each with the result of the one before.
    Chain(Vec<Spec>),
    /// Side by side.
    Group(Vec<Spec>),
    /// Side by side, and then one more with all their results.
    Chord(Box<Chord>),
}

/// The parts of a chord.
#[derive(Clone, Debug, Default)]
pub struct Chord {
    /// What runs side by side.
    pub header: Vec<Spec>,
    /// The options of the header's group, once it has an id: it is then written as a group, and not as a list.
    pub header_group: Option<CallOptions>,
    /// What is run with the list of results. Celery's may be without one until they are called.
    pub body: Option<Spec>,
    /// Keyword arguments for each of the header.
    pub kwargs: Map,
}

impl Kind {
    /// The name on the wire; of a task `None`.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Task => None,
            Self::Chain(_) => Some("chain"),
            Self::Group(_) => Some("group"),
            Self::Chord(_) => Some("chord"),
        }
    }

    /// The task that stands for it on the wire.
    pub fn task(&self) -> Option<&'static str> {
        match self {
            Self::Task => None,
            Self::Chain(_) => Some("celery.chain"),
            Self::Group(_) => Some("celery.group"),
            Self::Chord(_) => Some("celery.chord"),
        }
    }

    /// The keyword arguments on the wire, which hold the members.
    pub(super) fn with_members(&self, kwargs: &Map) -> Map {
        let list = |specs: &[Spec]| specs.iter().map(Spec::to_value).collect::<Value>();
        let mut kwargs = kwargs.clone();
        match self {
            Self::Task => {}
            Self::Chain(tasks) | Self::Group(tasks) => {
                kwargs.insert("tasks".to_owned(), list(tasks));
            }
            Self::Chord(chord) => {
                let header = match &chord.header_group {
                    None => list(&chord.header),
                    Some(options) => json!({
                        "task": "celery.group",
                        "args": [],
                        "kwargs": { "tasks": list(&chord.header) },
                        "options": options.to_map(),
                        "subtask_type": "group",
                        "immutable": false,
                    }),
                };
                let body = chord.body.as_ref().map_or(Value::Null, Spec::to_value);
                kwargs.insert("kwargs".to_owned(), Value::Object(chord.kwargs.clone()));
                kwargs.insert("header".to_owned(), header);
                kwargs.insert("body".to_owned(), body);
            }
        }
        kwargs
    }

    /// Takes the members out of the keyword arguments of the wire.
    pub(super) fn take(name: Option<&str>, kwargs: &mut Map) -> Result<Self, BadSignature> {
        let mut take = |key: &str| kwargs.shift_remove(key).unwrap_or_default();
        match name {
            None => Ok(Self::Task),
            Some("chain") => Ok(Self::Chain(members("tasks", take("tasks"))?)),
            Some("group") => Ok(Self::Group(members("tasks", take("tasks"))?)),
            Some("chord") => {
                let (header, header_group) = header(take("header"))?;
                let body = match take("body") {
                    Value::Null => None,
                    body => Some(Spec::from_value(body)?),
                };
                let kwargs = match take("kwargs") {
                    Value::Object(kwargs) => kwargs,
                    _ => Map::new(),
                };
                Ok(Self::Chord(Box::new(Chord { header, header_group, body, kwargs })))
            }
            Some(other) => Err(BadSignature::new(format!(
                "it is a `{other}`, where a chain, a group and a chord are known"
            ))),
        }
    }
}

/// The header of a chord: a list, a group or a chain, whose steps are then taken for its members, or one task.
fn header(value: Value) -> Result<(Vec<Spec>, Option<CallOptions>), BadSignature> {
    if value.is_array() {
        return Ok((members("header", value)?, None));
    }
    let spec = Spec::from_value(value)?;
    Ok(match spec.kind {
        Kind::Group(tasks) => (tasks, Some(spec.options)),
        Kind::Chain(tasks) => (tasks, None),
        Kind::Task | Kind::Chord(_) => (vec![spec], None),
    })
}

fn members(key: &str, value: Value) -> Result<Vec<Spec>, BadSignature> {
    match value {
        Value::Array(tasks) => tasks.into_iter().map(Spec::from_value).collect(),
        _ => Err(BadSignature::new(format!("its `{key}` are not a list"))),
    }
}
