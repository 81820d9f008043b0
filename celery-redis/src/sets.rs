//! What the processes of a fleet remember together: sorted sets, by the time at which each member expires.

use async_trait::async_trait;
use celery_core::broker::{BrokerError, Keep, KeepFrom, SharedSets};
use deadpool_redis::redis::pipe;

use crate::{
    broker::RedisBroker,
    scripts::{REMEMBER, REMEMBERED, REMEMBERS},
};

/// How many members go to the server in one step.
const AT_ONCE: usize = 1_000;

#[async_trait]
impl SharedSets for RedisBroker {
    async fn remember(&self, set: &str, members: &[String], keep: Keep) -> Result<(), BrokerError> {
        let mut keys = vec![self.options().keys.set(set)];
        if keep.from == KeepFrom::LastDue {
            keys.push(self.options().keys.unacked_index());
        }
        let visibility_timeout = self.options().visibility_timeout.as_secs_f64();
        for chunk in members.chunks(AT_ONCE) {
            let mut command = REMEMBER.command(&keys);
            command.arg(keep.time.as_secs_f64()).arg(keep.most).arg(visibility_timeout).arg(chunk);
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

    async fn remembers(&self, set: &str, asked: &[String]) -> Result<Vec<String>, BrokerError> {
        let keys = [self.options().keys.set(set)];
        let mut members = Vec::new();
        for chunk in asked.chunks(AT_ONCE) {
            let mut pipeline = pipe();
            pipeline.add_command(REMEMBERS.command(&keys).arg(chunk).to_owned());
            let (found,): (Vec<String>,) = self.link().insist(&pipeline).await?;
            members.extend(found);
        }
        Ok(members)
    }
}
