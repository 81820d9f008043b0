//! Saved groups: a key for each, in Celery's form.

use async_trait::async_trait;
use celery_core::{
    backend::{BackendError, Groups},
    tree::ResultTree,
    value::Value,
};
use deadpool_redis::redis::{self, cmd};
use serde_json::json;

use super::RedisBackend;

#[async_trait]
impl Groups for RedisBackend {
    async fn save(&self, group: &ResultTree) -> Result<(), BackendError> {
        let key = self.joins.group(&group.id);
        let document = self.documents.write_value(&json!({ "result": group.to_value() }))?;
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        let set = pipeline.cmd("SET").arg(&key).arg(&document[..]);
        if let Some(lifetime) = self.expires {
            set.arg("PX").arg(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
        }
        set.ignore();
        // As Celery does, though nobody there waits for a group.
        pipeline.cmd("PUBLISH").arg(&key).arg(&document[..]).ignore();
        Ok(self.link.insist(&pipeline).await?)
    }

    async fn restore(&self, group_id: &str) -> Result<Option<ResultTree>, BackendError> {
        let mut pipeline = redis::pipe();
        pipeline.add_command(cmd("GET").arg(self.joins.group(group_id)).to_owned());
        let (document,): (Option<Vec<u8>>,) = self.link.insist(&pipeline).await?;
        let Some(document) = document else { return Ok(None) };
        let document = self.documents.read_value(&document)?;
        let tree = ResultTree::from_value(document.get("result").unwrap_or(&Value::Null));
        Ok(Some(tree.map_err(BackendError::codec)?))
    }

    async fn delete(&self, group_id: &str) -> Result<(), BackendError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(self.joins.group(group_id)).ignore();
        Ok(self.link.insist(&pipeline).await?)
    }
}
