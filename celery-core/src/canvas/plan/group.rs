//! Sending a group.

use super::{
    Planner,
    freeze::{Frozen, Order},
    members,
    steps::joined,
};
use crate::{
    error::Error,
    signature::{CallOptions, Spec},
    tree::ResultTree,
    value::Value,
};

impl Planner {
    /// Sends each member, with what was said to the group said to it.
    pub(super) fn group(
        &mut self,
        mut spec: Spec,
        over: &CallOptions,
    ) -> Result<ResultTree, Error> {
        let mut down = std::mem::take(&mut spec.options);
        down.overlay(over);
        if let Some(next) = down.chain.as_mut().and_then(Vec::pop) {
            // Each member would go on with it. With all their results is what is meant.
            return self.followed(spec, down, next);
        }
        let ids = &mut self.ids;
        let id = down.task_id.take().unwrap_or_else(|| ids.next());
        let part = Frozen {
            group_id: Some(id.clone()),
            root_id: down.root_id.clone(),
            ..Frozen::default()
        };
        let (members, results) =
            self.freeze_members(members(&mut spec), Order::AsWritten, &part)?;
        down.group_id = Some(id.clone());
        down.group_index = None;
        self.members(members, &down.without_nulls())?;
        Ok(ResultTree::group(id, results))
    }

    /// Sends the members of a group or a header.
    pub(super) fn members(&mut self, members: Vec<Spec>, over: &CallOptions) -> Result<(), Error> {
        self.tasks.reserve(members.len());
        members.into_iter().try_for_each(|member| self.call(member, over).map(drop))
    }

    fn followed(
        &mut self,
        group: Spec,
        mut options: CallOptions,
        next: Value,
    ) -> Result<ResultTree, Error> {
        let body = Spec::from_value(next).map_err(|error| Error::Call(error.to_string()))?;
        let mut chord = joined(group, body);
        // What has the id is the group, and the step that follows has its own.
        chord.options.task_id = options.task_id.take();
        self.chord(chord, &options)
    }
}
