//! What can be put together: signatures and groups.

use super::{Draft, Input, Signature};
use crate::canvas::compose::Lone;

/// What can be a member of a group, the body of a chord, or what follows a task: a [`Signature`], or a
/// [`Group`](crate::canvas::Group).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no signature",
    label = "no signature or group",
    note = "`Task::s(…)` is the signature of a task with its arguments, and `group(…)` makes a group of an iterator of them"
)]
pub trait Step: Sized + sealed::Sealed {
    /// What it still lacks.
    type In: Input;
    /// What it hands on: of a group a list.
    type Out;
    /// What it becomes as the end of something that lacks `First`.
    type After<First>: From<Draft>;
    /// Whether it stays a group when it has one member.
    #[doc(hidden)]
    const LONE: Lone;

    /// What is in it.
    #[doc(hidden)]
    fn into_draft(self) -> Draft;

    /// What is in it, as the member of a group.
    #[doc(hidden)]
    fn into_member(self) -> Draft;
}

impl<In: Input, Out> Step for Signature<In, Out> {
    type In = In;
    type Out = Out;
    type After<First> = Signature<First, Out>;
    const LONE: Lone = Lone::Unrolled;

    fn into_draft(self) -> Draft {
        self.draft.taking(In::TAKES_RESULT)
    }

    fn into_member(self) -> Draft {
        self.into_draft()
    }
}

mod sealed {
    use crate::{canvas::Group, signature::Signature};

    pub trait Sealed {}

    impl<In, Out> Sealed for Signature<In, Out> {}
    impl<In, T> Sealed for Group<In, T> {}
}
