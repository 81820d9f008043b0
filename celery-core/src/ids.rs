//! Random ids: of tasks, of groups, and of copies of messages.

use std::cell::RefCell;

use uuid::{Builder, Uuid, fmt::Hyphenated};

/// How many ids the system is asked for at once.
const AT_ONCE: usize = 64;

thread_local! {
    /// Randomness of the system that is not used yet.
    static UNUSED: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// The id that is made of a name: always the same one.
pub(crate) fn of(name: &str) -> Uuid {
    Uuid::new_v3(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// A new id, as random as [`Uuid::new_v4`] makes it, but without a call of the system for each.
///
/// A process that is forked has its parent's: one that makes ids must be started.
///
/// ```
/// use celery_core::ids;
///
/// let id = ids::random();
/// assert_eq!(id.get_version_num(), 4);
/// assert_ne!(id, ids::random());
/// ```
pub fn random() -> Uuid {
    UNUSED.with_borrow_mut(|unused| {
        let bytes = unused.pop().or_else(|| {
            let mut bytes = [[0; 16]; AT_ONCE];
            getrandom::fill(bytes.as_flattened_mut()).ok()?;
            unused.extend(bytes);
            unused.pop()
        });
        // Where the system has none, it panics as that does.
        bytes.map_or_else(Uuid::new_v4, |bytes| Builder::from_random_bytes(bytes).into_uuid())
    })
}

/// A new id as text, which is how messages carry it.
pub fn text() -> String {
    let mut text = [0; Hyphenated::LENGTH];
    random().hyphenated().encode_lower(&mut text).to_owned()
}
