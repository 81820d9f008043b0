//! Tasks that make workflows while they run.

use celery::{
    core::signature::{Spec, Untyped},
    prelude::*,
};
use peers::Space;

/// Is replaced by that signature.
#[shared_task(name = "fleet.make_way", bind, acks_late)]
async fn make_way(task: &Context, signature: Value) -> Result<Value, TaskError> {
    let signature: Signature<Untyped> = Spec::from_value(signature)?.into();
    Err(task.replace(signature).into())
}

/// Has the chord that it is in wait for more.
#[shared_task(name = "fleet.grow", bind)]
fn grow(task: &Context, x: i64) -> Result<i64, TaskError> {
    task.block_on(task.add_to_chord(crate::tasks::Add::s(x, 1000)))?;
    Ok(x)
}

/// Tells what it is told of a failure, and in which process.
#[shared_task(name = "fleet.on_error")]
async fn on_error(
    request: Value,
    exception: Value,
    _traceback: Option<String>,
    #[state] space: Space,
) {
    let told = json!([request["id"], exception["exc_message"], std::process::id()]);
    let _: u64 = space.redis("RPUSH", &["{}told", &told.to_string()]).await;
}
