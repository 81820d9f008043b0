//! One task for many arguments: `celery.map` and `celery.starmap`, and groups of them, which are chunks.

use serde::Serialize;

use super::{Group, compose};
use crate::{
    error::Error,
    signature::{Arguments, Draft, Nothing, Signature, Spec, Step, Untyped, draft::list},
    task::Task,
    value::{Map, Value},
};

/// The task that calls a task for each argument.
const MAP: &str = "celery.map";

/// The task that calls a task for each list of arguments.
const STARMAP: &str = "celery.starmap";

/// `Task::map`, called by what the macros write.
pub fn map<T: Task>(it: impl Iterator<Item = Arguments>) -> Signature<Nothing, Vec<T::Output>> {
    let it = it.map(|arguments| Ok(arguments.into_values()?.swap_remove(0)));
    over(MAP, one_of::<T>(), it.collect()).into()
}

/// `Task::starmap`, called by what the macros write.
pub fn starmap<T: Task>(it: impl Iterator<Item = Arguments>) -> Signature<Nothing, Vec<T::Output>> {
    over(STARMAP, one_of::<T>(), tuples(it)).into()
}

/// `Task::chunks`, called by what the macros write.
pub fn chunks<T: Task>(
    it: impl Iterator<Item = Arguments>,
    n: usize,
) -> Group<Nothing, Vec<T::Output>> {
    chunks_of(&one_of::<T>(), tuples(it), n).into()
}

fn tuples(it: impl Iterator<Item = Arguments>) -> Result<Vec<Value>, Error> {
    it.map(|arguments| Ok(arguments.into_values()?.into())).collect()
}

impl Signature<Untyped, Value> {
    /// One task that calls this one for each argument, in order, and returns the list of what it returned: `celery.map`.
    pub fn map<A: Serialize>(
        self,
        it: impl IntoIterator<Item = A>,
    ) -> Signature<Nothing, Vec<Value>> {
        over(MAP, self.into_draft(), list(it)).into()
    }

    /// One task that calls this one for each tuple of arguments, in order, and returns the list of what it returned:
    /// `celery.starmap`.
    ///
    /// ```
    /// use celery_core::signature::Signature;
    ///
    /// let sums = Signature::named("proj.tasks.add").starmap([(1, 2), (3, 4)]);
    /// # let spec = sums.into_spec()?;
    /// # assert_eq!(spec.to_value()["kwargs"]["it"], serde_json::json!([[1, 2], [3, 4]]));
    /// # Ok::<_, celery_core::error::Error>(())
    /// ```
    pub fn starmap<A: Serialize>(
        self,
        it: impl IntoIterator<Item = A>,
    ) -> Signature<Nothing, Vec<Value>> {
        over(STARMAP, self.into_draft(), list(it)).into()
    }

    /// A group of tasks which call this one for up to `n` tuples of arguments each.
    pub fn chunks<A: Serialize>(
        self,
        it: impl IntoIterator<Item = A>,
        n: usize,
    ) -> Group<Nothing, Vec<Value>> {
        chunks_of(&self.into_draft(), list(it), n).into()
    }
}

/// The signature of the task itself.
fn one_of<T: Task>() -> Draft {
    let spec = Spec {
        task_options: Some(T::OPTIONS),
        task_parameters: Some(T::PARAMETERS),
        ..Spec::new(T::NAME, Vec::new(), Map::new())
    };
    Draft { app: T::app(), ..Draft::new(spec) }
}

fn over(name: &str, task: Draft, it: Result<Vec<Value>, Error>) -> Draft {
    let Draft { spec: task, app, fault } = task;
    let (it, fault) = match it {
        Ok(it) => (it, fault),
        Err(error) => (Vec::new(), fault.or(Some(error))),
    };
    let kwargs = [("task".to_owned(), task.to_value()), ("it".to_owned(), it.into())];
    let mut spec = Spec::new(name, Vec::new(), kwargs.into_iter().collect());
    spec.immutable = true;
    // It is run where the task itself would be.
    if let Some(own) = &task.task_options {
        spec.carry_routing(own);
    }
    if task.parameters().iter().any(|parameter| parameter.redacted) {
        spec.options.kwargsrepr = Some(format!("{{'task': {}, 'it': '***'}}", task.task));
    }
    Draft { spec, app, fault }
}

fn chunks_of(task: &Draft, it: Result<Vec<Value>, Error>, n: usize) -> Draft {
    let chunks = match it {
        Ok(it) if n > 0 => {
            it.chunks(n).map(|part| over(STARMAP, task.clone(), Ok(part.to_vec()))).collect()
        }
        Ok(_) => vec![over(
            STARMAP,
            task.clone(),
            Err(Error::Call("chunks have at least one call each: `n` is 0".to_owned())),
        )],
        Err(error) => vec![over(STARMAP, task.clone(), Err(error))],
    };
    let mut group = Draft::of(chunks, compose::group);
    group.fault = group.fault.or(task.fault.clone());
    group.app = group.app.or(task.app.clone());
    group
}
