//! Results as they refer to each other: Celery's result tuples.
//!
//! A task that follows another knows it as its parent, and a group knows its members. What a task published is listed in
//! its stored result in this form, a saved group is kept in it, and a handle of a result is made from it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::value::Value;

/// The results of what a signature was sent as, by their ids.
///
/// ```
/// use celery_core::tree::ResultTree;
///
/// let first = ResultTree::task("a");
/// let second = ResultTree::task("b").after(first);
/// assert_eq!(second.to_value(), serde_json::json!([["b", [["a", null], null]], null]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultTree {
    /// The id of the task, or of the group.
    pub id: String,
    /// What it followed.
    pub parent: Option<Box<Self>>,
    /// The members of a group, in order; of a task `None`.
    pub members: Option<Vec<Self>>,
}

impl ResultTree {
    /// One task that followed none.
    pub fn task(id: impl Into<String>) -> Self {
        Self { id: id.into(), parent: None, members: None }
    }

    /// A group that followed no task.
    pub fn group(id: impl Into<String>, members: Vec<Self>) -> Self {
        Self { id: id.into(), parent: None, members: Some(members) }
    }

    /// The same, as what followed `parent`: the first of its own parents that has none gets it.
    pub fn after(mut self, parent: Self) -> Self {
        self.first().parent = Some(Box::new(parent));
        self
    }

    /// What was sent first: what all the others followed, down to this. It is what the task that sent them lists as its child.
    pub fn origin(&self) -> &Self {
        self.parent.as_deref().map_or(self, Self::origin)
    }

    /// The one that is followed by all the others, down to this.
    fn first(&mut self) -> &mut Self {
        match self.parent {
            Some(ref mut parent) => parent.first(),
            None => self,
        }
    }

    /// The tuple: `[[id, parent], members]`.
    pub fn to_value(&self) -> Value {
        let parent = self.parent.as_deref().map_or(Value::Null, Self::to_value);
        let members = self.members.as_ref();
        let members = members.map(|members| members.iter().map(Self::to_value).collect());
        serde_json::json!([[self.id, parent], members.unwrap_or(Value::Null)])
    }

    /// Reads a tuple, of whichever version wrote it.
    ///
    /// # Errors
    /// [`BadTree`] when it is none.
    pub fn from_value(value: &Value) -> Result<Self, BadTree> {
        // A task may also be written as its id alone.
        if let Some(id) = value.as_str() {
            return Ok(Self::task(id));
        }
        let bad = || BadTree(value.to_string());
        let [head, members] = value.as_array().map(Vec::as_slice).ok_or_else(bad)? else {
            return Err(bad());
        };
        let (id, parent) = match head {
            Value::String(id) => (id, &Value::Null),
            Value::Array(head) => match head.as_slice() {
                [Value::String(id), parent] => (id, parent),
                _ => return Err(bad()),
            },
            _ => return Err(bad()),
        };
        let parent = match parent {
            Value::Null => None,
            parent => Some(Box::new(Self::from_value(parent)?)),
        };
        let members = match members {
            Value::Null => None,
            Value::Array(members) => {
                Some(members.iter().map(Self::from_value).collect::<Result<_, _>>()?)
            }
            _ => return Err(bad()),
        };
        Ok(Self { id: id.clone(), parent, members })
    }

    /// The ids of all tasks in it that follow no other member of it: of a task its own, of a group those of its members,
    /// nested ones included.
    pub fn leaves(&self) -> Vec<&str> {
        match &self.members {
            Some(members) => members.iter().flat_map(Self::leaves).collect(),
            None => vec![self.id.as_str()],
        }
    }
}

impl Serialize for ResultTree {
    /// Writes the tuple.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ResultTree {
    /// Reads the tuple.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// What is no result tuple.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a result, which is written `[[id, parent], members]`: {0}")]
pub struct BadTree(String);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_survives_its_tuple() {
        let chord = ResultTree::task("body").after(ResultTree::group(
            "group",
            vec![ResultTree::task("b").after(ResultTree::task("a")), ResultTree::task("c")],
        ));
        let value = json!([
            ["body", [["group", null], [[["b", [["a", null], null]], null], [["c", null], null]]]],
            null
        ]);
        assert_eq!(chord.to_value(), value);
        assert_eq!(ResultTree::from_value(&value), Ok(chord.clone()));
        assert_eq!(chord.leaves(), ["body"]);
        assert_eq!(chord.parent.unwrap().leaves(), ["b", "c"]);
    }

    #[test]
    fn what_follows_is_put_before_the_first() {
        let chain = ResultTree::task("c").after(ResultTree::task("b")).after(ResultTree::task("a"));
        assert_eq!(chain.to_value(), json!([["c", [["b", [["a", null], null]], null]], null]));
        assert_eq!(chain.origin(), &ResultTree::task("a"));
    }

    #[test]
    fn what_is_no_tuple_is_refused() {
        for value in [json!(1), json!([]), json!([[1, null], null]), json!([["a", null], 3])] {
            let refused = ResultTree::from_value(&value).unwrap_err();
            assert!(refused.to_string().ends_with(&value.to_string()), "{refused}");
        }
    }
}
