//! From the outside of a canvas to its inside, with the stamps that come from there.

use std::mem;

use super::{Stamping, StampingVisitor, Stamps};
use crate::{
    signature::{CallOptions, Kind, Spec},
    value::{Map, Value},
};

/// Stamps all parts of the signature.
pub(crate) fn stamp(spec: &mut Spec, stamping: Stamping<'_>) {
    let Stamping { stamps, visitor, append } = stamping;
    Walk { visitor, append }.visit(spec, stamps);
}

struct Walk<'v> {
    visitor: Option<&'v mut dyn StampingVisitor>,
    append: bool,
}

/// A method of the visitor that says what to stamp.
type Ask = fn(&mut dyn StampingVisitor, &mut Spec, &Stamps) -> Stamps;

impl Walk<'_> {
    fn visit(&mut self, spec: &mut Spec, headers: Stamps) {
        match spec.kind {
            Kind::Task => {
                self.links(spec, &headers);
                let headers = self.ask(
                    |visitor, it, headers| visitor.on_signature(it, headers),
                    spec,
                    headers,
                );
                put(&mut spec.options, headers, self.append);
            }
            Kind::Chain(_) => {
                let headers = self.ask(
                    |visitor, it, headers| visitor.on_chain_start(it, headers),
                    spec,
                    headers,
                );
                self.links(spec, &headers);
                self.members(spec, &headers);
                if let Some(visitor) = &mut self.visitor {
                    visitor.on_chain_end(spec, &headers);
                }
            }
            Kind::Group(_) => {
                let headers = self.ask(
                    |visitor, it, headers| visitor.on_group_start(it, headers),
                    spec,
                    headers,
                );
                self.links(spec, &headers);
                self.members(spec, &headers);
                if let Some(visitor) = &mut self.visitor {
                    visitor.on_group_end(spec, &headers);
                }
            }
            Kind::Chord(_) => {
                let headers = self.ask(
                    |visitor, it, headers| visitor.on_chord_header_start(it, headers),
                    spec,
                    headers,
                );
                self.links(spec, &headers);
                self.members(spec, &headers);
                if let Some(visitor) = &mut self.visitor {
                    visitor.on_chord_header_end(spec, &headers);
                }
                let headers = self.ask(
                    |visitor, it, headers| visitor.on_chord_body(it, headers),
                    spec,
                    headers,
                );
                if let Kind::Chord(chord) = &mut spec.kind
                    && let Some(body) = &mut chord.body
                {
                    self.visit(body, headers);
                }
            }
        }
    }

    /// What comes from outside, with what the visitor says.
    fn ask(&mut self, method: Ask, spec: &mut Spec, mut headers: Stamps) -> Stamps {
        if let Some(visitor) = self.visitor.as_deref_mut() {
            let said = method(visitor, spec, &headers);
            merge(&mut headers.0, said.0, self.append);
        }
        headers
    }

    /// All of a chain, a group, or the header of a chord. That a visitor made something else of it changes nothing but that.
    fn members(&mut self, spec: &mut Spec, headers: &Stamps) {
        let members = match &mut spec.kind {
            Kind::Task => return,
            Kind::Chain(members) | Kind::Group(members) => members,
            Kind::Chord(chord) => &mut chord.header,
        };
        members.iter_mut().for_each(|member| self.visit(member, headers.clone()));
    }

    /// What is called after it. It is not given the stamps that are on the signature, but those that come from outside alone.
    fn links(&mut self, spec: &mut Spec, headers: &Stamps) {
        let CallOptions { link, link_error, .. } = &mut spec.options;
        for callback in link {
            let headers = self.ask(
                |visitor, it, headers| visitor.on_callback(it, headers),
                callback,
                headers.clone(),
            );
            self.visit(callback, headers);
        }
        for errback in link_error {
            let headers = self.ask(
                |visitor, it, headers| visitor.on_errback(it, headers),
                errback,
                headers.clone(),
            );
            self.visit(errback, headers);
        }
    }
}

/// Stamps one task: with what is on it, where the new stamps do not say something else.
fn put(options: &mut CallOptions, stamps: Stamps, append: bool) {
    let mut all = stamps.0;
    merge(&mut all, mem::take(&mut options.stamps), append);
    options.stamped_headers = Some(all.keys().map(|name| name.as_str().into()).collect());
    options.stamps = all;
}

/// Celery's rule: of two values the first stays, or both are put into a list; two lists become one, and two objects are merged.
fn merge(stamps: &mut Map, others: Map, append: bool) {
    for (name, other) in others {
        let Some(stamp) = stamps.get_mut(&name) else {
            stamps.insert(name, other);
            continue;
        };
        if append && !stamp.is_object() && !stamp.is_array() {
            *stamp = match stamp.take() {
                Value::Null => Value::Array(Vec::new()),
                one => Value::Array(vec![one]),
            };
        }
        match (stamp, other) {
            (Value::Object(stamp), Value::Object(other)) => merge(stamp, other, append),
            (Value::Array(stamp), Value::Array(other)) => stamp.extend(other),
            (Value::Array(stamp), other) if append => stamp.push(other),
            _ => {}
        }
    }
}
