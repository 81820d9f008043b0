//! Stamps: named values on a signature and on all that is linked to it, which come with the messages of its tasks.
//!
//! Workers revoke by them ([`Control::revoke_by_stamped_headers`](crate::control::Control::revoke_by_stamped_headers)), monitors
//! show them, and what a task calls inherits them. A [`StampingVisitor`] decides for each part of a canvas what is stamped on it.

mod walk;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::{
    signature::Spec,
    value::{Map, Value},
};

pub(crate) use self::walk::stamp;

/// Stamps by their names.
///
/// ```
/// use celery_core::canvas::Stamps;
///
/// let stamps = Stamps::from([("team", "blue")]).with("monitoring_id", vec!["m1", "m2"]);
/// assert_eq!(stamps.get("team").and_then(|team| team.as_str()), Some("blue"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stamps(Map);

impl Stamps {
    /// No stamps.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, in place of one of that name.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The stamp of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All of them, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Stamps {
    fn from(stamps: [(K, V); N]) -> Self {
        stamps.into_iter().collect()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Stamps {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(stamps: I) -> Self {
        Self(stamps.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Decides what is stamped on each part of a canvas.
///
/// A canvas is walked from the outside to the inside, and each method is given the stamps that come from outside: it need not return
/// them. What it returns goes on to all that is inside, except from [`on_signature`](Self::on_signature), which is about that
/// one task. The options of what is visited may be changed, too.
///
/// ```
/// use celery_core::{
///     canvas::{StampingVisitor, Stamps, group},
///     signature::{Signature, Spec},
/// };
///
/// struct Numbered(u64);
///
/// impl StampingVisitor for Numbered {
///     fn on_signature(&mut self, _: &mut Spec, _: &Stamps) -> Stamps {
///         self.0 += 1;
///         Stamps::from([("number", self.0)])
///     }
/// }
///
/// let page = |page: u32| Signature::named("proj.tasks.thumbnail").args((page,));
/// let pages = group([page(1), page(2)]).stamp(&mut Numbered(0));
/// # let value = pages.into_spec()?.to_value();
/// # assert_eq!(value["kwargs"]["tasks"][1]["options"]["number"], 2);
/// # Ok::<_, celery_core::error::Error>(())
/// ```
pub trait StampingVisitor {
    /// One task.
    fn on_signature(&mut self, signature: &mut Spec, headers: &Stamps) -> Stamps;

    /// A group, before its members.
    fn on_group_start(&mut self, group: &mut Spec, headers: &Stamps) -> Stamps {
        let _ = (group, headers);
        Stamps::new()
    }

    /// A group, after its members.
    fn on_group_end(&mut self, group: &mut Spec, headers: &Stamps) {
        let _ = (group, headers);
    }

    /// A chain, before its steps.
    fn on_chain_start(&mut self, chain: &mut Spec, headers: &Stamps) -> Stamps {
        let _ = (chain, headers);
        Stamps::new()
    }

    /// A chain, after its steps.
    fn on_chain_end(&mut self, chain: &mut Spec, headers: &Stamps) {
        let _ = (chain, headers);
    }

    /// A chord, before its header. What is returned goes on to its body as well. By itself it is
    /// [`on_group_start`](Self::on_group_start), of the chord.
    fn on_chord_header_start(&mut self, chord: &mut Spec, headers: &Stamps) -> Stamps {
        self.on_group_start(chord, headers)
    }

    /// A chord, after its header. By itself it is [`on_group_end`](Self::on_group_end), of the chord.
    fn on_chord_header_end(&mut self, chord: &mut Spec, headers: &Stamps) {
        self.on_group_end(chord, headers);
    }

    /// A chord, before its body.
    fn on_chord_body(&mut self, chord: &mut Spec, headers: &Stamps) -> Stamps {
        let _ = (chord, headers);
        Stamps::new()
    }

    /// What is called when something has succeeded.
    fn on_callback(&mut self, callback: &mut Spec, headers: &Stamps) -> Stamps {
        let _ = (callback, headers);
        Stamps::new()
    }

    /// What is called when something has failed.
    fn on_errback(&mut self, errback: &mut Spec, headers: &Stamps) -> Stamps {
        let _ = (errback, headers);
        Stamps::new()
    }
}

/// What to stamp with: stamps for all parts alike, a visitor that decides for each, or both.
///
/// ```
/// use celery_core::{canvas::Stamping, signature::Signature};
///
/// let add = Signature::named("proj.tasks.add").args((2, 2));
/// let add = add.stamp([("team", "blue")]);
/// let add = add.stamp(Stamping::from([("team", "red")]).append_stamps());
/// # let options = &add.into_spec()?.to_value()["options"];
/// # assert_eq!(options["team"], serde_json::json!(["red", "blue"]));
/// # Ok::<_, celery_core::error::Error>(())
/// ```
#[derive(Default)]
pub struct Stamping<'v> {
    stamps: Stamps,
    visitor: Option<&'v mut dyn StampingVisitor>,
    append: bool,
}

impl<'v> Stamping<'v> {
    /// Has this visitor decide.
    pub fn visitor(mut self, visitor: &'v mut dyn StampingVisitor) -> Self {
        self.visitor = Some(visitor);
        self
    }

    /// Has these stamps put on all parts.
    pub fn stamps(mut self, stamps: impl Into<Stamps>) -> Self {
        self.stamps.0.extend(stamps.into().0);
        self
    }

    /// Gathers the values of stamps of the same name in a list. Otherwise the one from outside stays.
    pub fn append_stamps(mut self) -> Self {
        self.append = true;
        self
    }
}

impl fmt::Debug for Stamping<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamping")
            .field("stamps", &self.stamps)
            .field("append", &self.append)
            .finish_non_exhaustive()
    }
}

impl From<Stamps> for Stamping<'_> {
    fn from(stamps: Stamps) -> Self {
        Self { stamps, ..Self::default() }
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Stamping<'_> {
    fn from(stamps: [(K, V); N]) -> Self {
        Stamps::from(stamps).into()
    }
}

impl<'v, V: StampingVisitor> From<&'v mut V> for Stamping<'v> {
    fn from(visitor: &'v mut V) -> Self {
        Self::default().visitor(visitor)
    }
}
