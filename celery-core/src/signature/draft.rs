//! What is within each typed signature and group: the data, and what is to be told when it is called.

use super::{CallOptions, Spec};
use crate::{
    app::Celery,
    canvas::compose::{self, Lone},
    error::Error,
    value::{Value, to_value},
};

/// A signature in the making, whatever its type is.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(crate) spec: Spec,
    /// The app that calls it, where it is not the current one.
    pub(crate) app: Option<Celery>,
    /// What cannot be put into a signature, kept until somebody can be told.
    pub(crate) fault: Option<Error>,
}

impl Draft {
    pub(crate) fn new(spec: Spec) -> Self {
        Self { spec, app: None, fault: None }
    }

    /// One that is made of several: their data, the first app that one of them names, and the first fault.
    pub(crate) fn of(
        drafts: impl IntoIterator<Item = Self>,
        make: impl FnOnce(Vec<Spec>) -> Spec,
    ) -> Self {
        let drafts = drafts.into_iter();
        let mut specs = Vec::with_capacity(drafts.size_hint().0);
        let (mut app, mut fault) = (None, None);
        for draft in drafts {
            specs.push(draft.spec);
            app = app.or(draft.app);
            fault = fault.or(draft.fault);
        }
        Self { spec: make(specs), app, fault }
    }

    /// The data, or why there is none.
    pub(crate) fn into_spec(self) -> Result<Spec, Error> {
        match self.fault {
            Some(error) => Err(error),
            None => Ok(self.spec),
        }
    }

    /// This, and then that.
    pub(crate) fn then(self, next: Self, lone: Lone) -> Self {
        Self {
            spec: compose::then(self.spec, next.spec, lone),
            app: self.app.or(next.app),
            fault: self.fault.or(next.fault),
        }
    }

    /// As the member of a group: its results stay together.
    pub(crate) fn nested(self) -> Self {
        Self { spec: compose::nested(self.spec), ..self }
    }

    /// One that takes no result, if it was not said to take one.
    pub(crate) fn taking(mut self, takes_result: bool) -> Self {
        if !takes_result {
            compose::make_immutable(&mut self.spec);
        }
        self
    }

    /// With that value in front of its arguments.
    pub(crate) fn with_first(mut self, argument: &impl serde::Serialize) -> Self {
        match to_value(argument) {
            Ok(argument) => compose::prepend(&mut self.spec, &argument),
            Err(error) => self.fail(error),
        }
        self
    }

    pub(crate) fn set(mut self, change: impl FnOnce(&mut CallOptions)) -> Self {
        change(&mut self.spec.options);
        self
    }

    /// Links a callback where the links of such a signature are.
    pub(crate) fn link(mut self, callback: Self) -> Self {
        let linked = |spec: &mut Spec, callback| compose::link(spec, callback);
        self.attach(callback, linked);
        self
    }

    /// Links a callback to each member.
    pub(crate) fn link_each(mut self, callback: Self) -> Self {
        let linked = |spec: &mut Spec, callback| {
            compose::link_each(spec, &callback);
            Ok(())
        };
        self.attach(callback, linked);
        self
    }

    /// Links an error callback to all that may fail.
    pub(crate) fn link_error(mut self, errback: Self) -> Self {
        let app = self.app.clone().or_else(|| Celery::current().ok());
        let headers = app.is_some_and(|app| app.config().task.allow_error_cb_on_chord_header);
        let linked = |spec: &mut Spec, errback| {
            compose::link_error(spec, &errback, headers);
            Ok(())
        };
        self.attach(errback, linked);
        self
    }

    fn attach(&mut self, other: Self, link: impl FnOnce(&mut Spec, Spec) -> Result<(), Error>) {
        if let Err(error) = other.into_spec().and_then(|other| link(&mut self.spec, other)) {
            self.fail(error);
        }
    }

    pub(crate) fn fail(&mut self, error: impl Into<Error>) {
        self.fault.get_or_insert(error.into());
    }

    /// The app that calls it.
    pub(crate) fn caller(&self) -> Result<Celery, Error> {
        self.app.clone().map_or_else(Celery::current, Ok)
    }
}

/// A list of values out of what serializes to one.
pub(crate) fn list(
    items: impl IntoIterator<Item = impl serde::Serialize>,
) -> Result<Vec<Value>, Error> {
    items.into_iter().map(|item| to_value(&item).map_err(Error::from)).collect()
}
