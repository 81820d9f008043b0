//! Widgets, which are kept in memory: what a model is to a Django app.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// A widget.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Widget {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// There is no widget of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("widget {0} does not exist")]
pub struct DoesNotExist(pub i64);

static WIDGETS: Mutex<BTreeMap<i64, Widget>> = Mutex::new(BTreeMap::new());

impl Widget {
    /// Keeps a new widget.
    pub fn create(name: impl Into<String>) -> Self {
        let mut widgets = WIDGETS.lock().unwrap_or_else(PoisonError::into_inner);
        let id = widgets.last_key_value().map_or(1, |(last, _)| last + 1);
        let widget = Self { id, name: name.into() };
        widgets.insert(id, widget.clone());
        widget
    }

    /// How many there are.
    pub fn count() -> usize {
        WIDGETS.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Gives the widget of that number another name.
    ///
    /// # Errors
    /// [`DoesNotExist`].
    pub fn rename(id: i64, name: &str) -> Result<Self, DoesNotExist> {
        let mut widgets = WIDGETS.lock().unwrap_or_else(PoisonError::into_inner);
        let widget = widgets.get_mut(&id).ok_or(DoesNotExist(id))?;
        name.clone_into(&mut widget.name);
        Ok(widget.clone())
    }
}
