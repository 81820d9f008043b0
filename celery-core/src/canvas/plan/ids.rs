//! Ids for what has none: random ones, or always the same ones.

use uuid::{Uuid, uuid};

use crate::ids;

/// The namespace of ids that are made of others.
const NAMESPACE: Uuid = uuid!("8f1d2a0e-6a5b-5a0c-9c5e-4f1b0a3c7d21");

/// Makes ids.
pub(super) enum Ids {
    /// That nobody has had.
    Random,
    /// Of a seed, in the order in which they are asked for.
    Derived { seed: Uuid, made: u64 },
}

impl Ids {
    pub(super) fn new(seed: Option<&str>) -> Self {
        match seed {
            None => Self::Random,
            Some(seed) => {
                Self::Derived { seed: Uuid::new_v5(&NAMESPACE, seed.as_bytes()), made: 0 }
            }
        }
    }

    pub(super) fn next(&mut self) -> String {
        match self {
            Self::Random => ids::text(),
            Self::Derived { seed, made } => {
                *made += 1;
                Uuid::new_v5(seed, &made.to_be_bytes()).to_string()
            }
        }
    }
}
