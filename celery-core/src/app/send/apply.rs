//! Sending signatures of several tasks: what is planned is carried out.

use std::{iter, sync::Arc};

use super::{Celery, Sent, many::Item};
use crate::{
    backend::NewJoin,
    broker::ExchangeKind,
    canvas::plan::{Call, Plan, is_one_task, plan},
    error::Error,
    signature::{CallOptions, Spec},
    task::When,
    tree::ResultTree,
    value::{Map, Value},
};

impl Celery {
    /// Sends the tasks of a signature: of one that is data, whatever its kind. Returns the results that there will be.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use celery_core::{app::Celery, signature::Spec};
    /// use serde_json::json;
    ///
    /// let app = Celery::builder("mysite").broker("memory://applied").build()?;
    /// let group = json!({ "task": "celery.group", "subtask_type": "group", "kwargs": { "tasks": [
    ///     { "task": "proj.tasks.thumbnail", "args": ["a.png"] },
    ///     { "task": "proj.tasks.thumbnail", "args": ["b.png"] },
    /// ] } });
    /// let results = app.apply(Spec::from_value(group).unwrap()).await?;
    /// assert_eq!(results.members.map(|members| members.len()), Some(2));
    /// # Ok::<_, celery_core::error::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Broker`] when a message could not be published, after the retries of `task_publish_retry_policy`;
    /// [`Error::Encode`] when it could not be serialized; [`Error::Call`] for a signature that cannot be called, such as a chord
    /// without a result backend; [`Error::Backend`] when a chord could not be made known to it; [`Error::Unsent`] when some of
    /// the tasks have been sent, and others have not.
    ///
    /// # Cancel safety
    /// A call that is dropped has sent some of the tasks, which may be none or all: the first of them.
    pub async fn apply(&self, spec: Spec) -> Result<ResultTree, Error> {
        let sent = self.send_noting(spec).await?;
        Ok(sent.tree.map_or_else(|| ResultTree::task(sent.id), |tree| *tree))
    }

    /// Sends a signature that is not one task alone.
    pub(super) async fn send_canvas(&self, spec: Spec) -> Result<Sent, Error> {
        let items = self.items(spec)?;
        let mut sent = self.send_items(items.map(Ok)).await?;
        sent.pop().ok_or_else(|| Error::Call("nothing was to be sent".to_owned()))
    }

    /// What is sent for a signature.
    pub(super) fn items(&self, spec: Spec) -> Result<impl Iterator<Item = Item> + use<>, Error> {
        let (one, plan) = match is_one_task(&spec) {
            true => (Some(Item::Task(spec)), None),
            false => (None, Some(self.plan(spec, Call::default())?)),
        };
        Ok(one.into_iter().chain(plan.into_iter().flat_map(planned)))
    }

    /// Decides what is sent for a signature, with what this app adds to a call.
    pub(crate) fn plan(&self, mut spec: Spec, call: Call) -> Result<Plan, Error> {
        self.complete(&mut spec);
        let call = Call {
            reply_to: self.inner.origin.reply_to.clone(),
            errors_of_header: self.inner.config.task.allow_error_cb_on_chord_header,
            ..call
        };
        plan(spec, call)
    }

    /// Begins joins, which has to be done before any part of them is sent. What is returned is to be sent as well: the tasks that
    /// look for their ends, where the backend does not count parts.
    ///
    /// # Errors
    /// [`Error::Call`] where no results are kept, so that none would reach the bodies; [`Error::Backend`] when it is not known
    /// whether they have begun.
    pub(crate) async fn begin(&self, plan: &Plan) -> Result<Vec<Spec>, Error> {
        self.begin_joins(&plan.joins, &plan.bodies).await
    }

    pub(super) async fn begin_joins(
        &self,
        joins: &[NewJoin],
        bodies: &[Arc<Value>],
    ) -> Result<Vec<Spec>, Error> {
        if joins.is_empty() {
            return Ok(Vec::new());
        }
        let backend = self.backend().await?;
        if !backend.is_enabled() {
            return Err(Error::Call(
                "a chord needs a result backend, which hands the results of its header to its body: set `result_backend`, \
                 for example to the URL of the broker"
                    .to_owned(),
            ));
        }
        if let Some(keeper) = backend.joins() {
            self.insist(|| async { Ok(keeper.begin(joins).await?) }).await?;
            return Ok(Vec::new());
        }
        for join in joins {
            if let Some(groups) = backend.groups() {
                self.insist(|| async { Ok(groups.save(&join.header).await?) }).await?;
            }
        }
        iter::zip(joins, bodies).map(|(join, body)| self.unlocking(join, body)).collect()
    }

    /// The task that looks whether all parts of a join are done, and sends the body then.
    fn unlocking(&self, join: &NewJoin, body: &Value) -> Result<Spec, Error> {
        let spec = Spec::from_value(body.clone());
        let spec = spec.map_err(|error| Error::Call(error.to_string()))?;
        let options = &spec.options;
        let by_task = self.options_of(&spec.task, None).unwrap_or_default();
        let destination = self.destination(&spec.task, options, &by_task)?;
        let kind = match destination.exchange.kind {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Fanout => "fanout",
        };
        let members = join.header.members.iter().flatten();
        let kwargs = Map::from_iter([
            ("interval".to_owned(), Value::Null),
            ("max_retries".to_owned(), Value::Null),
            ("result".to_owned(), members.map(ResultTree::to_value).collect()),
            ("_chord_unlock_exchange_type".to_owned(), kind.into()),
        ]);
        let args = vec![join.group_id.as_str().into(), body.clone()];
        let mut unlock = Spec::new("celery.chord_unlock", args, kwargs);
        unlock.options = CallOptions {
            eta: Some(When::In(self.inner.config.result.chord_retry_interval)),
            // It goes where the body goes.
            queue: destination.queue,
            exchange: options.exchange.clone(),
            routing_key: options.routing_key.clone(),
            headers: options.headers.clone(),
            priority: Some(options.priority.or(by_task.priority.map(i64::from)).unwrap_or(0)),
            ignore_result: Some(true),
            ..CallOptions::default()
        };
        Ok(unlock)
    }
}

/// What is done for a plan, in order.
fn planned(plan: Plan) -> impl Iterator<Item = Item> {
    let Plan { joins, bodies, tasks, result } = plan;
    let joins = (!joins.is_empty()).then_some(Item::Joins(joins, bodies));
    joins.into_iter().chain(tasks.into_iter().map(Item::Part)).chain(iter::once(Item::End(result)))
}

#[cfg(test)]
mod tests;
