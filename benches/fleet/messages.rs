//! Messages made beforehand: copies of one that an app has sent, so that their bytes are a client's to the last.

use deadpool_redis::redis::{aio::MultiplexedConnection, cmd, pipe};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Outcome,
    space::{QUEUE, Space},
    tasks::Noop,
};

/// How many messages are pushed in one round trip.
const AT_ONCE: usize = 1_000;

/// A message as it waits in its queue.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) id: String,
}

/// Whether what the task returns is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Results {
    Kept,
    Ignored,
}

impl Results {
    /// As settings of an app.
    pub(crate) fn settings(self) -> Value {
        json!({ "task_ignore_result": self == Self::Ignored })
    }
}

/// That many messages that call the task that does nothing. No worker may run, for it would take the one to copy.
pub(crate) async fn noops(space: &Space, results: Results, count: usize) -> Outcome<Vec<Message>> {
    let app = space.app(&results.settings())?;
    Box::pin(app.scope(Noop::delay())).await?;
    copies(&take(space).await?, count)
}

/// The message that waits alone in the queue.
pub(crate) async fn take(space: &Space) -> Outcome<String> {
    let mut redis = space.connect().await?;
    let taken: Option<String> = cmd("LPOP").arg(space.key(QUEUE)).query_async(&mut redis).await?;
    taken.ok_or_else(|| "nothing was sent".into())
}

/// That many copies, each with an id and a delivery tag of its own.
pub(crate) fn copies(template: &str, count: usize) -> Outcome<Vec<Message>> {
    let envelope: Value = serde_json::from_str(template)?;
    let text = |at: &str| envelope.pointer(at).and_then(Value::as_str).ok_or("no envelope");
    let (id, tag) = (text("/headers/id")?, text("/properties/delivery_tag")?);
    let copy = |_| {
        let [new, delivery] = [Uuid::new_v4(), Uuid::new_v4()].map(|uuid| uuid.to_string());
        Message { bytes: template.replace(id, &new).replace(tag, &delivery).into(), id: new }
    };
    Ok((0..count).map(copy).collect())
}

/// Puts the messages into the queue, the first one first.
pub(crate) async fn fill(space: &Space, messages: &[Message]) -> Outcome<()> {
    push(&mut space.connect().await?, &space.key(QUEUE), messages).await
}

/// The same, over a connection that is there.
pub(crate) async fn push(
    redis: &mut MultiplexedConnection,
    queue: &str,
    messages: &[Message],
) -> Outcome<()> {
    for some in messages.chunks(AT_ONCE) {
        let mut pipeline = pipe();
        for message in some {
            pipeline.cmd("LPUSH").arg(queue).arg(&message.bytes).ignore();
        }
        pipeline.query_async::<()>(redis).await?;
    }
    Ok(())
}
