//! How many tasks may run at once: slots, which can be added and taken away while the worker runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of a worker.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    /// How many there are to be.
    wanted: usize,
    /// How many of those that are taken go when they are given back.
    surplus: usize,
}

/// A slot that is taken. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Arc<Self> {
        let size = Mutex::new(Size { wanted: count, surplus: 0 });
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), size })
    }

    /// How many there are, once those that are too many have been given back.
    pub(super) fn count(&self) -> usize {
        self.size().wanted
    }

    /// Waits for a free one.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn take(self: &Arc<Self>) -> Slot {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        Slot { permit: permit.ok(), slots: Arc::clone(self) }
    }

    /// Adds slots, and returns how many there are.
    pub(super) fn grow(&self, by: usize) -> usize {
        let mut size = self.size();
        size.wanted += by;
        // Those that were to go may stay.
        let kept = by.min(size.surplus);
        size.surplus -= kept;
        self.free.add_permits(by - kept);
        size.wanted
    }

    /// Takes slots away, down to one, and returns how many are left. What runs in one is not disturbed: it goes
    /// when it is free.
    pub(super) fn shrink(&self, by: usize) -> usize {
        let mut size = self.size();
        let by = by.min(size.wanted.saturating_sub(1));
        size.wanted -= by;
        size.surplus += by - self.free.forget_permits(by);
        size.wanted
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut size = self.slots.size();
        if size.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            size.surplus -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_slot_that_is_taken_away_while_it_is_in_use_goes_when_it_is_free() {
        let slots = Slots::new(2);
        let [first, second] = [(), ()].map(|()| slots.take().now_or_never().unwrap());
        assert_eq!(slots.shrink(1), 1);
        drop(first);
        assert!(slots.take().now_or_never().is_none());
        drop(second);
        let _only = slots.take().now_or_never().unwrap();
        assert!(slots.take().now_or_never().is_none());
    }

    #[test]
    fn slots_that_were_to_go_stay_when_more_are_wanted() {
        let slots = Slots::new(2);
        let taken = [(), ()].map(|()| slots.take().now_or_never().unwrap());
        slots.shrink(1);
        assert_eq!(slots.grow(2), 3);
        let _third = slots.take().now_or_never().unwrap();
        assert!(slots.take().now_or_never().is_none());
        drop(taken);
        let _others = [(), ()].map(|()| slots.take().now_or_never().unwrap());
        assert!(slots.take().now_or_never().is_none());
    }

    #[test]
    fn one_slot_always_stays() {
        let slots = Slots::new(3);
        assert_eq!(slots.shrink(10), 1);
        assert!(slots.take().now_or_never().is_some());
    }
}
