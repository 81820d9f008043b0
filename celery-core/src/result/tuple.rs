//! Results as Celery's tuples: in what a task takes or returns, and in what is stored.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{AsyncResult, GroupResult};
use crate::{
    app::Celery,
    error::Error,
    tree::{BadTree, ResultTree},
    value::{Value, from_value},
};

/// A value as a `T`, which may be a result, and then belongs to this app.
pub(super) fn read<T: de::DeserializeOwned>(app: &Celery, value: Value) -> Result<T, Error> {
    Ok(app.scope_sync(|| from_value(value))?)
}

impl From<BadTree> for Error {
    fn from(error: BadTree) -> Self {
        Self::Call(error.to_string())
    }
}

impl<T> Serialize for AsyncResult<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tree().serialize(serializer)
    }
}

impl<T> Serialize for GroupResult<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tree().serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for AsyncResult<T> {
    /// Reads a tuple, or the id of a task. The result is one of the current app's.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = ResultTree::deserialize(deserializer)?;
        let app = Celery::current().map_err(de::Error::custom)?;
        Ok(Self::from_tree(&app, tree))
    }
}

impl<'de, T> Deserialize<'de> for GroupResult<T> {
    /// Reads a tuple. The result is one of the current app's.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = ResultTree::deserialize(deserializer)?;
        let app = Celery::current().map_err(de::Error::custom)?;
        Self::from_tree(&app, tree).map_err(de::Error::custom)
    }
}
