//! The setting `task_annotations`: options of tasks, by their names, over what the tasks say themselves.

use std::collections::BTreeMap;

use super::Options;
use crate::{
    routing::glob::Glob,
    value::{Map, Value},
};

/// The setting, read and checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Annotations {
    maps: Vec<Annotation>,
}

#[derive(Clone, Debug, Default)]
struct Annotation {
    /// For `*`: all tasks.
    all: Option<Map>,
    exact: BTreeMap<String, Map>,
    patterns: Vec<(Glob, Map)>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadAnnotations(String);

impl Annotations {
    /// Reads the setting: null, a dictionary from name to options, or a list of such dictionaries.
    ///
    /// # Errors
    /// [`BadAnnotations`] names the task and the option.
    pub(crate) fn parse(setting: &Value) -> Result<Self, BadAnnotations> {
        let maps = match setting {
            Value::Null => Vec::new(),
            Value::Array(maps) => maps.iter().map(Annotation::parse).collect::<Result<_, _>>()?,
            map => vec![Annotation::parse(map)?],
        };
        Ok(Self { maps })
    }

    /// The options of the task, as the settings have them.
    ///
    /// The first dictionary that knows the task is taken, and in it the exact name before patterns in their order. What is
    /// said of `*` goes before that where both set an option, as in Celery.
    pub(crate) fn apply(&self, task: &str, mut options: Options) -> Options {
        let own = self.maps.iter().find_map(|annotation| annotation.of(task));
        let all = self.maps.iter().find_map(|annotation| annotation.all.as_ref());
        for (name, value) in own.into_iter().chain(all).flatten() {
            // It was tried when the settings were read.
            options = options.set(name, value).unwrap_or(options);
        }
        options
    }
}

impl Annotation {
    fn parse(setting: &Value) -> Result<Self, BadAnnotations> {
        let Value::Object(tasks) = setting else {
            let found = match setting {
                Value::String(name) => format!(
                    "`{name}` is a Python class, which cannot be used from here; write its options down, in"
                ),
                other => format!("expected, in place of `{other}`,"),
            };
            return Err(BadAnnotations(format!(
                "{found} a dictionary from the name of a task, or a pattern, to its options"
            )));
        };
        let mut read = Self::default();
        for (task, options) in tasks {
            let Value::Object(options) = options else {
                return Err(BadAnnotations(format!(
                    "the annotation of `{task}` is no dictionary of options, such as {{\"rate_limit\": \"10/s\"}}"
                )));
            };
            for (name, value) in options {
                Options::new().set(name, value).map_err(|complaint| {
                    BadAnnotations(format!("the annotation of `{task}`: {complaint}"))
                })?;
            }
            if task == "*" {
                read.all = Some(options.clone());
            } else if task.contains(['*', '?', '[']) {
                read.patterns.push((Glob::new(task), options.clone()));
            } else {
                read.exact.insert(task.clone(), options.clone());
            }
        }
        Ok(read)
    }

    fn of(&self, task: &str) -> Option<&Map> {
        self.exact.get(task).or_else(|| {
            let mut patterns = self.patterns.iter();
            patterns.find(|(pattern, _)| pattern.matches(task)).map(|(_, options)| options)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn priority(setting: &Value, task: &str) -> Option<u8> {
        Annotations::parse(setting).unwrap().apply(task, Options::new()).priority
    }

    #[test]
    fn a_task_is_annotated_by_its_name_by_a_pattern_and_with_all() {
        let setting = json!({
            "video.*": { "priority": 3 },
            "video.encode": { "priority": 5 },
            "video.e*": { "priority": 4 },
        });
        assert_eq!(priority(&setting, "video.encode"), Some(5));
        assert_eq!(priority(&setting, "video.cut"), Some(3));
        assert_eq!(priority(&setting, "video.edit"), Some(3));
        assert_eq!(priority(&setting, "audio.cut"), None);
        let all = json!({ "*": { "priority": 9 }, "video.cut": { "priority": 1, "queue": "v" } });
        assert_eq!(priority(&all, "audio.cut"), Some(9));
        let options = Annotations::parse(&all).unwrap().apply("video.cut", Options::new());
        assert_eq!((options.priority, options.queue), (Some(9), Some("v")));
        let list = json!([{ "a": { "priority": 1 } }, { "a": { "priority": 2 } }]);
        assert_eq!(priority(&list, "a"), Some(1));
        assert_eq!(priority(&Value::Null, "a"), None);
    }

    #[test]
    fn what_cannot_be_used_names_the_task_and_the_option() {
        let check = |setting: Value, expected: &str| {
            let error = Annotations::parse(&setting).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(json!({ "a": { "ack_late": true } }), "of `a`: a task has no option `ack_late`");
        check(json!({ "a.*": { "acks_late": 3 } }), "of `a.*`: `acks_late` expects true or false");
        check(json!({ "a": 3 }), "the annotation of `a` is no dictionary");
        check(json!(["proj.Annotation"]), "`proj.Annotation` is a Python class");
        check(json!(3), "expected, in place of `3`, a dictionary");
    }
}
