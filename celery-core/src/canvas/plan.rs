//! From a signature of any kind to the tasks that are sent for it.

use crate::{
    backend::NewJoin,
    error::Error,
    ids,
    signature::{CallOptions, Kind, Spec},
    tree::ResultTree,
    value::Value,
};

/// How a signature is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// Put in front of the arguments of what takes a result.
    pub(crate) args: Vec<Value>,
    /// The options of this call, over those that the signature has.
    pub(crate) options: CallOptions,
    /// The name under which this process is answered, which goes into each signature.
    pub(crate) reply_to: String,
}

/// What is to be done for a signature.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The joins to be begun before anything is sent.
    pub(crate) joins: Vec<NewJoin>,
    /// The tasks to be sent, in this order, with their ids and all that follows them.
    pub(crate) tasks: Vec<Spec>,
    /// The results that there will be.
    pub(crate) result: ResultTree,
}

/// Decides what is sent for the signature.
///
/// # Errors
/// [`Error::Call`] when it cannot be called.
pub(crate) fn plan(mut spec: Spec, call: Call) -> Result<Plan, Error> {
    match spec.kind {
        Kind::Task => {
            spec = call.args.into_iter().rev().fold(spec, Spec::with_result);
            let id = spec.options.task_id.get_or_insert_with(ids::text).clone();
            Ok(Plan { joins: Vec::new(), tasks: vec![spec], result: ResultTree::task(id) })
        }
        kind => Err(Error::Call(format!("a {} cannot be called", kind.name().unwrap_or("task")))),
    }
}
