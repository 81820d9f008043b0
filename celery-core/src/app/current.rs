//! The current app: one for the process, and one for a piece of code.

use std::sync::{PoisonError, RwLock};

use super::Celery;
use crate::error::Error;

static DEFAULT: RwLock<Option<Celery>> = RwLock::new(None);

tokio::task_local! {
    static SCOPED: Celery;
}

impl Celery {
    /// The app that tasks are called with when they name none: that of the scope, or else that of the process.
    ///
    /// # Errors
    /// [`Error::NoApp`] when neither is set.
    pub fn current() -> Result<Self, Error> {
        if let Ok(app) = SCOPED.try_with(Self::clone) {
            return Ok(app);
        }
        DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::NoApp)
    }

    /// Makes this the current app of the process.
    pub fn set_current(&self) {
        *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = Some(self.clone());
    }

    /// Runs the future with this as the current app. Tests that run side by side each have their own so.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        SCOPED.scope(self.clone(), future).await
    }

    /// Runs the function with this as the current app.
    pub fn scope_sync<R>(&self, function: impl FnOnce() -> R) -> R {
        SCOPED.sync_scope(self.clone(), function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_app_of_the_scope_is_current() {
        let outer = Celery::builder("outer").build().unwrap();
        let inner = Celery::builder("inner").build().unwrap();
        outer
            .scope(async {
                assert_eq!(Celery::current().unwrap().name(), "outer");
                inner.scope_sync(|| assert_eq!(Celery::current().unwrap().name(), "inner"));
                assert_eq!(Celery::current().unwrap().name(), "outer");
            })
            .await;
    }
}
