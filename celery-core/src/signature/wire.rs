//! Signatures as values: Celery's dictionaries, in which they are arguments of tasks and are stored.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{Draft, Input, Signature, Spec};
use crate::{
    canvas::{Group, compose},
    value::Value,
};

/// Celery's dictionary: what a Python task that is given it can call.
///
/// ```
/// use celery_core::{signature::Signature, value::{from_value, to_value}};
///
/// let add = Signature::named("proj.tasks.add").args((2, 2));
/// let stored = to_value(&add)?;
/// assert_eq!(stored["task"], "proj.tasks.add");
/// let again: Signature<_, _> = from_value::<Signature<celery_core::signature::Untyped>>(stored)?;
/// assert_eq!(again.into_spec()?, add.into_spec()?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
impl<In: Input, Out> Serialize for Signature<In, Out> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.clone().into_spec(), serializer)
    }
}

impl<In: Input, T> Serialize for Group<In, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.clone().into_spec(), serializer)
    }
}

fn serialize<S: Serializer>(
    spec: Result<Spec, crate::error::Error>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    spec.map_err(ser::Error::custom)?.to_value().serialize(serializer)
}

/// The types are believed, as those of a result are.
impl<'de, In, Out> Deserialize<'de> for Signature<In, Out> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Draft::new(spec(deserializer)?).into())
    }
}

impl<'de, In, T> Deserialize<'de> for Group<In, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spec = spec(deserializer)?;
        if !compose::ends_in_group(&spec) {
            let task = &spec.task;
            return Err(de::Error::custom(format!("a signature of `{task}`, which is no group")));
        }
        Ok(Draft::new(spec).into())
    }
}

fn spec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spec, D::Error> {
    Spec::from_value(Value::deserialize(deserializer)?).map_err(de::Error::custom)
}
