//! Sending a chord.

use std::sync::Arc;

use super::{
    Planner,
    freeze::{Frozen, Order},
    links::{link_error_to_body, take},
    steps::expand,
};
use crate::{
    backend::NewJoin,
    canvas::compose::link,
    error::Error,
    signature::{CallOptions, Kind, Spec},
    tree::ResultTree,
    value::{Map, Value},
};

impl Planner {
    /// Begins a join, and sends the header, each member of which has the body with it.
    pub(super) fn chord(
        &mut self,
        mut spec: Spec,
        over: &CallOptions,
    ) -> Result<ResultTree, Error> {
        let kind = std::mem::take(&mut spec.kind);
        let Kind::Chord(mut chord) = kind else { return Err(no_body()) };
        let Some(mut body) = chord.body.take() else { return Err(no_body()) };
        expand(&mut body);
        if !spec.immutable {
            for member in &mut chord.header {
                expand(member);
                take(member, &spec.args, &chord.kwargs);
            }
        }
        let mut header = chord.header_group.take().unwrap_or_default();
        let is_frozen = header.task_id.is_some() || body.options.task_id.is_some();
        let named = spec.options.task_id.take();
        let (header_id, body_id) = if is_frozen { (named, None) } else { (None, named) };
        let ids = &mut self.ids;
        let mut new = || ids.next();
        let group_id = header.task_id.take().or(header_id).unwrap_or_else(&mut new);

        let mut options = std::mem::take(&mut spec.options);
        options.overlay(over);
        let body_id = options.task_id.take().or(body_id);
        // It is the header that waits. The body is called when that is done.
        let eta = options.eta.take();
        for callback in std::mem::take(&mut options.link) {
            link(&mut body, callback)?;
        }
        for errback in std::mem::take(&mut options.link_error) {
            link_error_to_body(&mut body, &errback);
        }
        // The parent of the body is whatever of the header completes it.
        body.options.overlay(&CallOptions { parent_id: None, ..options.clone() });
        if let Kind::Chain(steps) = &mut body.kind {
            *steps = self.steps(std::mem::take(steps))?;
        }
        let part = Frozen {
            id: body_id,
            group_id: Some(group_id.clone()),
            root_id: body.options.root_id.clone(),
            ..Frozen::default()
        };
        let root_id = part.root_id.clone();
        let body_result = self.freeze(&mut body, part)?;

        let callback = Arc::new(body.to_value());
        let part = Frozen {
            group_id: Some(group_id.clone()),
            chord: Some(Arc::clone(&callback)),
            root_id,
            ..Frozen::default()
        };
        let (members, results) = self.freeze_members(chord.header, Order::InnerReversed, &part)?;
        let size = members.iter().map(parts).sum();
        let nests = results.iter().any(|result| result.members.is_some());
        let header_result = ResultTree::group(group_id.clone(), results);
        if size == 0 {
            // Nobody would ever complete it.
            take(&mut body, &[Value::Array(Vec::new())], &Map::new());
            self.call(body, &CallOptions::default())?;
            return Ok(body_result.after(header_result));
        }
        self.joins.push(NewJoin {
            group_id: group_id.clone(),
            size,
            header: header_result.clone(),
            nests,
        });
        self.bodies.push(Arc::clone(&callback));
        header.overlay(&options);
        let down = CallOptions {
            eta: eta.or(header.eta),
            group_id: Some(group_id),
            group_index: None,
            chord: Some(callback),
            chain: None,
            ..header
        };
        self.members(members, &down.without_nulls())?;
        Ok(body_result.after(header_result))
    }
}

/// How many parts of a join a signature is: what there is of it that ends without being followed.
pub(crate) fn parts(spec: &Spec) -> u64 {
    match &spec.kind {
        Kind::Task => 1,
        Kind::Group(members) => members.iter().map(parts).sum(),
        Kind::Chain(steps) => steps.iter().rev().map(parts).find(|&parts| parts > 0).unwrap_or(0),
        Kind::Chord(chord) => chord.body.as_ref().map_or(0, parts),
    }
}

pub(super) fn no_body() -> Error {
    Error::Call(
        "a chord without a body cannot be called: say what is done with the results".to_owned(),
    )
}
