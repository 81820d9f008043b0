//! How many tasks may run at once: slots, which can be added and taken away while the worker runs.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The slots of a worker.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
    /// How many of those that are taken are wanted back: those that are to go, and those that are waited for.
    wanted_back: AtomicUsize,
    /// Whether somebody found none, and is to be told of the next.
    missed: AtomicBool,
    freed: Notify,
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
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count)),
            size,
            wanted_back: AtomicUsize::new(0),
            missed: AtomicBool::new(false),
            freed: Notify::new(),
        })
    }

    /// How many there are, once those that are too many have been given back.
    pub(super) fn count(&self) -> usize {
        self.size().wanted
    }

    /// Waits for a free one, before whoever [tries](Self::try_take) later.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn take(self: &Arc<Self>) -> Slot {
        let _wanted = Wanted::one(self);
        let permit = Arc::clone(&self.free).acquire_owned().await;
        Slot { permit: permit.ok(), slots: Arc::clone(self) }
    }

    /// A free one. Where there is none, [`freed`](Self::freed) tells of the next.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Slot> {
        self.find().or_else(|| {
            self.missed.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            // One may have been given back before that was noted.
            self.find()
        })
    }

    /// Waits until one may be free for who found none.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn find(self: &Arc<Self>) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Slot { permit: Some(permit), slots: Arc::clone(self) })
    }

    fn tell_who_missed(&self) {
        fence(Ordering::SeqCst);
        if self.missed.load(Ordering::Relaxed) && self.missed.swap(false, Ordering::Relaxed) {
            self.freed.notify_one();
        }
    }

    /// Adds slots, and returns how many there are.
    pub(super) fn grow(&self, by: usize) -> usize {
        let mut size = self.size();
        size.wanted += by;
        // Those that were to go may stay.
        let kept = by.min(size.surplus);
        size.surplus -= kept;
        self.wanted_back.fetch_sub(kept, Ordering::Relaxed);
        self.free.add_permits(by - kept);
        self.tell_who_missed();
        size.wanted
    }

    /// Takes slots away, down to one, and returns how many are left. What runs in one is not disturbed: it goes
    /// when it is free.
    pub(super) fn shrink(&self, by: usize) -> usize {
        let mut size = self.size();
        let by = by.min(size.wanted.saturating_sub(1));
        size.wanted -= by;
        let taken = by - self.free.forget_permits(by);
        size.surplus += taken;
        self.wanted_back.fetch_add(taken, Ordering::Relaxed);
        size.wanted
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Whether it is to be given back, rather than used for one thing after the other.
    pub(super) fn is_wanted_back(&self) -> bool {
        self.slots.wanted_back.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut size = self.slots.size();
        if size.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            size.surplus -= 1;
            self.slots.wanted_back.fetch_sub(1, Ordering::Relaxed);
            permit.forget();
        }
        drop(size);
        drop(self.permit.take());
        self.slots.tell_who_missed();
    }
}

/// One slot is waited for.
struct Wanted<'a>(&'a Slots);

impl<'a> Wanted<'a> {
    fn one(slots: &'a Slots) -> Self {
        slots.wanted_back.fetch_add(1, Ordering::Relaxed);
        Self(slots)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.wanted_back.fetch_sub(1, Ordering::Relaxed);
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
    fn who_finds_no_slot_is_told_of_the_next() {
        let slots = Slots::new(1);
        let first = slots.try_take().unwrap();
        drop(first);
        assert!(slots.freed().now_or_never().is_none(), "nobody has missed one");
        let first = slots.try_take().unwrap();
        assert!(slots.try_take().is_none());
        drop(first);
        assert!(slots.freed().now_or_never().is_some());
        let _first = slots.try_take().unwrap();
        assert!(slots.try_take().is_none());
        slots.grow(1);
        assert!(slots.freed().now_or_never().is_some());
    }

    #[test]
    fn a_slot_is_wanted_back_by_who_waits_and_when_there_are_too_many() {
        let slots = Slots::new(2);
        let [first, second] = [(), ()].map(|()| slots.try_take().unwrap());
        assert!(!first.is_wanted_back());
        let mut waits = Box::pin(slots.take());
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(first.is_wanted_back());
        drop(waits);
        assert!(!first.is_wanted_back());
        slots.shrink(1);
        assert!(first.is_wanted_back());
        drop(second);
        assert!(!first.is_wanted_back());
    }

    #[test]
    fn one_slot_always_stays() {
        let slots = Slots::new(3);
        assert_eq!(slots.shrink(10), 1);
        assert!(slots.take().now_or_never().is_some());
    }
}
