//! Groups: what gives several results, side by side.

use std::{fmt, marker::PhantomData};

use super::{
    Stamping,
    compose::{self, Lone},
};
use crate::{
    app::Celery,
    error::Error,
    ids,
    result::GroupResult,
    signature::{
        Accepts, CallOptions, Complete, Draft, Errback, Input, Nothing, Signature, Spec, Step,
        Takes, Untyped, option_setters,
    },
    tree::ResultTree,
    value::Value,
};

/// What gives the results of a group: side by side, each a `T`, in the order of its members.
///
/// Made by [`group`]; a chain that ends in a group is one, too, and so is a chord whose body is one. What follows it takes
/// all results as a `Vec<T>`, and makes a chord of it. `In` is what each member lacks: a group of partial signatures
/// follows a task, and each of its members takes its result.
#[must_use = "a group does nothing until it is called, for example with `apply_async`"]
pub struct Group<In = Nothing, T = Value> {
    draft: Draft,
    types: PhantomData<fn(In) -> T>,
}

/// These signatures, side by side.
///
/// Those of different tasks are put together when they are [`untyped`](Signature::untyped). Members may be groups
/// themselves: each then gives a list.
///
/// ```
/// use celery_core::{canvas::group, signature::Signature};
///
/// let add = || Signature::named("proj.tasks.add");
/// let ten = group((0..10).map(|i| add().args((i, i))));
/// let sum = ten | Signature::named("proj.tasks.tsum");
/// assert_eq!(sum.into_spec()?.to_value()["task"], "celery.chord");
/// # Ok::<_, celery_core::error::Error>(())
/// ```
pub fn group<S: Step>(members: impl IntoIterator<Item = S>) -> Group<S::In, S::Out> {
    Draft::of(members.into_iter().map(Step::into_member), compose::group).into()
}

impl<In, T> Group<In, T> {
    option_setters! {}

    /// The same group without its types, as a signature among others: Celery's rules say what becomes of it, and put its
    /// members straight among those of a group that it is a member of.
    pub fn untyped(self) -> Signature<Untyped, Value>
    where
        In: Input,
    {
        self.draft.taking(In::TAKES_RESULT).into()
    }

    /// Says what the members return, where that is not known: of tasks that are called by name.
    pub fn returning<U>(self) -> Group<In, U> {
        self.draft.into()
    }

    /// The data of the group, or why there is none.
    ///
    /// # Errors
    /// [`Error::Value`] when an argument could not be serialized; [`Error::Call`] when the group cannot be what it was asked
    /// to be.
    pub fn into_spec(self) -> Result<Spec, Error>
    where
        In: Input,
    {
        self.draft.taking(In::TAKES_RESULT).into_spec()
    }

    /// Makes all members immutable: they take no result of what the group follows.
    pub fn immutable(self) -> Group<Nothing, T> {
        self.draft.taking(false).into()
    }

    /// Calls it with this app instead of the current one.
    pub fn with_app(mut self, app: &Celery) -> Self {
        self.draft.app = Some(app.clone());
        self
    }

    /// Calls that task when the *first* member succeeded, without its result. That is Celery's `link` of a group, while that of a
    /// chain that ends in one is for each member; [`link_each`](Self::link_each) is mostly what one wants, or a chord:
    /// `group | callback`.
    pub fn link<I: Complete, O>(self, callback: Signature<I, O>) -> Self {
        self.draft.link(callback.into_draft()).into()
    }

    /// Calls that task for each member that succeeded, with its result.
    pub fn link_each<I, O>(self, callback: Signature<I, O>) -> Self
    where
        I: Accepts<T>,
    {
        self.draft.link_each(callback.into_draft()).into()
    }

    /// Calls that task for each member that failed, with its id.
    pub fn link_error<I, O>(self, errback: Signature<I, O>) -> Self
    where
        I: Errback,
    {
        self.draft.link_error(errback.into_draft()).into()
    }

    /// Another word for [`link_error`](Self::link_error).
    pub fn on_error<I, O>(self, errback: Signature<I, O>) -> Self
    where
        I: Errback,
    {
        self.link_error(errback)
    }

    /// Puts stamps on all members, and on their callbacks: `[("team", "blue")]`, or those of a
    /// [`StampingVisitor`](super::StampingVisitor). See [`Stamping`].
    pub fn stamp<'v>(mut self, stamping: impl Into<Stamping<'v>>) -> Self {
        super::stamp(&mut self.draft.spec, stamping.into());
        self
    }

    /// Sends all members, or what the group follows, and returns a handle of the results.
    ///
    /// # Errors
    /// As for [`Signature::apply_async`].
    ///
    /// # Cancel safety
    /// A call that is dropped has sent some of the tasks, which may be none or all: the first of them.
    pub async fn apply_async(self) -> Result<GroupResult<T>, Error>
    where
        In: Complete,
    {
        let app = self.draft.caller()?;
        let spec = self.into_spec()?;
        let count = compose::last_members(&spec).map_or(0, <[Spec]>::len);
        let tree = app.apply(spec).await?;
        let tree = match (&tree.members, count) {
            (Some(_), _) => tree,
            // In a chain Celery leaves out an empty group, and replaces one by its only member.
            (None, 0) => ResultTree::group(ids::text(), Vec::new()).after(tree),
            (None, _) => ResultTree::group(ids::text(), vec![tree]),
        };
        GroupResult::from_tree(&app, tree)
    }

    /// Another word for [`apply_async`](Self::apply_async).
    ///
    /// # Errors
    /// As for `apply_async`.
    pub async fn delay(self) -> Result<GroupResult<T>, Error>
    where
        In: Complete,
    {
        self.apply_async().await
    }

    /// Changes the options of the call.
    pub fn set(self, change: impl FnOnce(&mut CallOptions)) -> Self {
        self.draft.set(change).into()
    }
}

impl<A: serde::Serialize, T> Group<Takes<A>, T> {
    /// With that first argument for each member, which would else come from what the group follows.
    pub fn with_first(self, argument: A) -> Group<Nothing, T> {
        self.draft.with_first(&argument).into()
    }
}

impl<In: Input, T> Step for Group<In, T> {
    type In = In;
    type Out = Vec<T>;
    type After<First> = Group<First, T>;
    const LONE: Lone = Lone::Kept;

    fn into_draft(self) -> Draft {
        self.draft.taking(In::TAKES_RESULT)
    }

    fn into_member(self) -> Draft {
        self.into_draft().nested()
    }
}

impl<In, T> From<Draft> for Group<In, T> {
    fn from(draft: Draft) -> Self {
        Self { draft, types: PhantomData }
    }
}

impl<In, T> Clone for Group<In, T> {
    fn clone(&self) -> Self {
        self.draft.clone().into()
    }
}

impl<In, T> fmt::Debug for Group<In, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draft.spec.fmt(f)
    }
}
