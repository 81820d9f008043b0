//! What the processes of a fleet remember together: sorted sets, by the time at which each member expires.

use async_trait::async_trait;
use celery_core::broker::{BrokerError, Keep, SharedSets};
use deadpool_redis::redis::pipe;

use crate::{
    broker::RedisBroker,
    scripts::{REMEMBER, REMEMBERED},
};

/// How many members go to the server in one step.
const AT_ONCE: usize = 1_000;

#[async_trait]
impl SharedSets for RedisBroker {
    async fn remember(&self, set: &str, members: &[String], keep: Keep) -> Result<(), BrokerError> {
        let key = self.options().keys.set(set);
        for chunk in members.chunks(AT_ONCE) {
            let mut command = REMEMBER.command(std::slice::from_ref(&key));
            command.arg(keep.time.as_secs_f64()).arg(keep.most).arg(chunk);
            let mut pipeline = pipe();
            pipeline.add_command(command).ignore();
            self.link().insist::<()>(&pipeline).await?;
        }
        Ok(())
    }

    async fn remembered(&self, set: &str) -> Result<Vec<String>, BrokerError> {
        let mut pipeline = pipe();
        pipeline.add_command(REMEMBERED.command(&[self.options().keys.set(set)]));
        let (members,): (Vec<String>,) = self.link().insist(&pipeline).await?;
        Ok(members)
    }
}
