//! `|`, `chain` and `chord`.

use std::ops::BitOr;

use super::{
    Group,
    compose::{self, Lone},
};
use crate::signature::{Accepts, Draft, Input, Signature, Step};

/// This task, and then that one with its result.
impl<In: Input, Out, I: Accepts<Out>, O> BitOr<Signature<I, O>> for Signature<In, Out> {
    type Output = Signature<In, O>;

    fn bitor(self, next: Signature<I, O>) -> Self::Output {
        then(self, next)
    }
}

/// This task, and then that group, each member with its result.
impl<In: Input, Out, I: Accepts<Out>, T> BitOr<Group<I, T>> for Signature<In, Out> {
    type Output = Group<In, T>;

    fn bitor(self, next: Group<I, T>) -> Self::Output {
        then(self, next)
    }
}

/// A chord: this group, and then that task with the list of its results.
impl<In: Input, T, I: Accepts<Vec<T>>, O> BitOr<Signature<I, O>> for Group<In, T> {
    type Output = Signature<In, O>;

    fn bitor(self, next: Signature<I, O>) -> Self::Output {
        then(self, next)
    }
}

/// A chord: this group, and then that group, each member with the list of its results.
impl<In: Input, T, I: Accepts<Vec<T>>, U> BitOr<Group<I, U>> for Group<In, T> {
    type Output = Group<In, U>;

    fn bitor(self, next: Group<I, U>) -> Self::Output {
        then(self, next)
    }
}

fn then<A: Step, B: Step>(first: A, next: B) -> B::After<A::In> {
    let lone = if A::LONE == Lone::Kept { Lone::Kept } else { B::LONE };
    first.into_draft().then(next.into_draft(), lone).into()
}

/// These signatures, one after the other, each with the result of the one before it.
///
/// They are of one type, such as those of an iterator are. Signatures of different types are put together with `|`.
///
/// ```
/// use celery_core::{canvas::chain, signature::Signature};
///
/// let steps = ["fetch", "unpack", "index"];
/// let import = chain(steps.map(|step| Signature::named(format!("proj.tasks.{step}"))));
/// assert_eq!(import.into_spec()?.to_value()["task"], "celery.chain");
/// # Ok::<_, celery_core::error::Error>(())
/// ```
pub fn chain<In, Out>(
    signatures: impl IntoIterator<Item = Signature<In, Out>>,
) -> Signature<In, Out>
where
    In: Accepts<Out>,
{
    let fold = |steps: Vec<_>| {
        steps.into_iter().fold(compose::chain(Vec::new()), |whole, step| {
            compose::then(whole, step, Lone::Unrolled)
        })
    };
    Draft::of(signatures.into_iter().map(Step::into_draft), fold).into()
}

/// A chord: the header's signatures side by side, and then the body with the list of their results.
///
/// The same as `group(header) | body`. The header is a [`Group`], or an iterator of what a group is made of.
///
/// ```
/// use celery_core::{canvas::chord, signature::Signature};
///
/// let pages = (1..=3).map(|page| Signature::named("proj.tasks.thumbnail").args((page,)));
/// let album = chord(pages, Signature::named("proj.tasks.album"));
/// # assert_eq!(album.into_spec()?.to_value()["task"], "celery.chord");
/// # Ok::<_, celery_core::error::Error>(())
/// ```
pub fn chord<H: Header, B: Step>(header: H, body: B) -> B::After<H::In>
where
    B::In: Accepts<Vec<H::Each>>,
{
    then(header.into_group(), body)
}

/// What can be the header of a chord: a [`Group`], or an iterator of signatures or groups.
pub trait Header {
    /// What each of it lacks.
    type In: Input;
    /// What each of it returns.
    type Each;

    /// The group.
    fn into_group(self) -> Group<Self::In, Self::Each>;
}

impl<In: Input, T> Header for Group<In, T> {
    type In = In;
    type Each = T;

    fn into_group(self) -> Self {
        self
    }
}

impl<S: Step, M: IntoIterator<Item = S>> Header for M {
    type In = S::In;
    type Each = S::Out;

    fn into_group(self) -> Group<S::In, S::Out> {
        super::group(self)
    }
}
