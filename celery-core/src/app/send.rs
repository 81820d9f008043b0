//! Sending a task: from a signature to a message.

mod apply;
mod many;

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use super::{Celery, publish::Parcel};
use crate::{
    arguments,
    broker::Exchange,
    canvas::plan::is_one_task,
    clock,
    codec::{Compression, Serializer},
    context::Context,
    date,
    error::Error,
    ids,
    options::Options,
    protocol::{Embed, RetryChanges, TaskHeaders, TaskMessage},
    repr,
    result::AsyncResult,
    signature::{CallOptions, Chord, Kind, Spec},
    task::{Retry, When},
    tree::ResultTree,
    value::{Map, Value, number::seconds},
};

impl Celery {
    /// Sends the tasks of a signature and returns its id: that of the task, of the last one of a chain, of the body of a chord,
    /// or of the group.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply).
    pub async fn send(&self, spec: Spec) -> Result<String, Error> {
        Ok(self.send_noting(spec).await?.id)
    }

    /// Sends the tasks of a signature, and says what its caller's handle is to know.
    pub(crate) async fn send_noting(&self, spec: Spec) -> Result<Sent, Error> {
        if !is_one_task(&spec) {
            // It is larger than what a single task needs, by far.
            return Box::pin(self.send_canvas(spec)).await;
        }
        let context = Context::current();
        let (parcel, sent) = self.written(spec, context.as_ref())?;
        self.publish(&parcel).await?;
        if let Some(context) = context {
            context.add_children([sent.to_tuple()]);
        }
        Ok(sent)
    }

    /// One task, as it is published. Apart from the sending, whose future need not have room for what is done here.
    fn written(&self, spec: Spec, context: Option<&Context>) -> Result<(Parcel, Sent), Error> {
        let outgoing = self.prepare(spec, context, clock::now())?;
        let sent = outgoing.sent();
        let mut parcel = Parcel::default();
        self.pack(outgoing, &mut parcel)?;
        Ok((parcel, sent))
    }

    /// What a signature is as a message, where it goes, and how it is written.
    pub(crate) fn prepare(
        &self,
        spec: Spec,
        parent: Option<&Context>,
        now: Timestamp,
    ) -> Result<Outgoing, Error> {
        let registered = || self.registry().ok()?.get(&spec.task);
        let linked = || Some(registered()?.parameters_of(&spec.args, &spec.kwargs));
        let parameters = spec.task_parameters.or_else(linked).unwrap_or_default();
        let Spec { task, args, kwargs, options, task_options, .. } = spec;
        let task_options = self.options_of(&task, task_options);
        let by_task = task_options.unwrap_or_default();
        let destination = self.destination(route_name(&task, &kwargs), &options, &by_task)?;
        let config = &self.inner.config.task;
        let id = options.task_id.unwrap_or_else(ids::text);
        let limits = self.repr_limits();
        let (shown_args, shown_kwargs) = arguments::shown(parameters, &args, &kwargs);
        // What a caller writes of arguments that are shown nowhere may show them.
        let hides = parameters.iter().any(|parameter| parameter.redacted);
        let [args_told, kwargs_told] =
            [options.argsrepr, options.kwargsrepr].map(|told| told.filter(|_| !hides));
        let argsrepr = args_told.clone().unwrap_or_else(|| repr::args(&shown_args, &limits));
        let kwargsrepr =
            kwargs_told.clone().unwrap_or_else(|| repr::kwargs(&shown_kwargs, &limits));
        let zone = self.time_zone();
        let at = |when: When| when.after(now);
        let expires = options.expires.or(by_task.expires.map(When::In)).map(at);
        let inherited = parent
            .filter(|_| config.inherit_parent_priority)
            .and_then(|parent| parent.request().priority);
        let own = by_task.priority.map(i64::from);
        let priority = options.priority.or(own).or(destination.priority).or(inherited);
        let parent = parent.map(Context::request);
        let callbacks = |mut specs: Vec<Spec>| {
            specs.iter_mut().for_each(|spec| self.complete(spec));
            (!specs.is_empty()).then(|| specs.iter().map(Spec::to_value).collect())
        };
        let named = || by_task.shadow_name.and_then(|name| name(&args, &kwargs));
        let shadow = options.shadow.or_else(named).or(by_task.shadow.map(str::to_owned));
        // Celery passes on as properties what its caller says of these.
        let told = [("argsrepr", args_told), ("kwargsrepr", kwargs_told)];
        let told = told.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let extra_properties = told.map(|(name, text)| (name.to_owned(), text.into())).collect();
        let message = TaskMessage {
            task,
            extra_properties,
            embed: Embed {
                callbacks: callbacks(options.link),
                errbacks: callbacks(options.link_error),
                chain: options.chain,
                chord: options.chord.map(Arc::unwrap_or_clone),
                ..Embed::default()
            },
            headers: TaskHeaders {
                // The dialect that the rest of the headers is in.
                lang: Some("py".to_owned()),
                shadow,
                eta: options.eta.map(|eta| date::format(at(eta), &zone)),
                expires: expires.map(|expires| date::format(expires, &zone)),
                group: options.group_id,
                group_index: options.group_index,
                replaced_task_nesting: options.replaced_task_nesting.unwrap_or_default(),
                stamped_headers: options.stamped_headers,
                stamps: options.stamps,
                timelimit: (
                    options
                        .time_limit
                        .or(by_task.time_limit.map(|limit| limit.as_secs_f64()))
                        .map(seconds),
                    options
                        .soft_time_limit
                        .or(by_task.soft_time_limit.map(|limit| limit.as_secs_f64()))
                        .map(seconds),
                ),
                root_id: options
                    .root_id
                    .or_else(|| parent.map(root_of))
                    .or_else(|| Some(id.clone())),
                parent_id: options.parent_id.or_else(|| parent.map(|parent| parent.id.clone())),
                argsrepr: Some(argsrepr),
                kwargsrepr: Some(kwargsrepr),
                origin: Some(self.inner.origin.name.clone()),
                // A task that this program does not have is left to decide itself.
                ignore_result: options
                    .ignore_result
                    .or(task_options.map(|of| of.ignore_result.unwrap_or(config.ignore_result))),
                ..TaskHeaders::default()
            },
            extra_headers: options.headers,
            reply_to: Some(options.reply_to.unwrap_or_else(|| self.inner.origin.reply_to.clone())),
            correlation_id: Some(id.clone()),
            priority: priority.or(config.default_priority.map(i64::from)).or(Some(0)),
            delivery_mode: Some(config.default_delivery_mode),
            expiration: expires.map(|expires| milliseconds_until(expires, now)),
            id,
            args,
            kwargs,
            ..TaskMessage::default()
        };
        let serializer =
            options.serializer.as_deref().or(by_task.serializer).unwrap_or(&config.serializer);
        let compression = options
            .compression
            .as_deref()
            .or(by_task.compression)
            .or(config.compression.as_deref());
        let unusable = |error: &dyn std::error::Error| Error::Call(error.to_string());
        Ok(Outgoing {
            message,
            exchange: destination.exchange,
            routing_key: destination.routing_key,
            queue: destination.queue,
            serializer: Serializer::from_name(serializer).map_err(|error| unusable(&error))?,
            compression: compression
                .map(Compression::from_name)
                .transpose()
                .map_err(|error| unusable(&error))?,
        })
    }

    /// The arguments of a message as they may be shown.
    pub(crate) fn shown<'a>(&self, message: &'a TaskMessage) -> (Cow<'a, [Value]>, Cow<'a, Map>) {
        match self.registry().ok().and_then(|registry| registry.get(&message.task)) {
            Some(task) => task.shown(message),
            None => (Cow::Borrowed(&message.args), Cow::Borrowed(&message.kwargs)),
        }
    }

    /// Takes out of the display form of the arguments what is not to be shown, whoever wrote it.
    pub(crate) fn redact(&self, message: &mut TaskMessage) {
        let task = self.registry().ok().and_then(|registry| registry.get(&message.task));
        if task.is_some_and(|task| task.redacts(message)) {
            let (limits, (args, kwargs)) = (self.repr_limits(), self.shown(message));
            let (args, kwargs) = (repr::args(&args, &limits), repr::kwargs(&kwargs, &limits));
            message.headers.argsrepr = Some(args);
            message.headers.kwargsrepr = Some(kwargs);
        }
    }

    /// The options of a task as the settings have them: of one that the caller has the types of, or of one that it calls by
    /// name and has as well.
    fn options_of(&self, task: &str, own: Option<Options>) -> Option<Options> {
        match own {
            Some(own) => Some(self.inner.annotations.apply(task, own)),
            None => Some(self.registry().ok()?.get(task)?.options),
        }
    }

    /// A signature as whoever sends it in our place is to read it, with its parts and its callbacks.
    pub(crate) fn complete(&self, spec: &mut Spec) {
        match &mut spec.kind {
            Kind::Task => {
                spec.carry_redaction(&self.repr_limits());
                if let Some(own) = spec.task_options {
                    spec.carry_routing(&self.inner.annotations.apply(&spec.task, own));
                }
            }
            Kind::Chain(parts) | Kind::Group(parts) => {
                parts.iter_mut().for_each(|part| self.complete(part));
            }
            Kind::Chord(chord) => {
                let Chord { header, body, .. } = &mut **chord;
                header.iter_mut().chain(body).for_each(|part| self.complete(part));
            }
        }
        let CallOptions { link, link_error, .. } = &mut spec.options;
        link.iter_mut().chain(link_error).for_each(|callback| self.complete(callback));
    }

    /// The retry of a message, on its way to where it came from.
    pub(crate) fn retry_of(
        &self,
        message: &TaskMessage,
        eta: Timestamp,
        changes: Retry,
    ) -> Outgoing {
        let zone = self.time_zone();
        let expires = message.expires(&TimeZone::UTC).ok().flatten();
        let mut message = message.retry(RetryChanges {
            eta: Some(date::format(eta, &zone)),
            args: changes.args,
            kwargs: changes.kwargs,
            origin: Some(self.inner.origin.name.clone()),
            expiration: expires.map(|expires| milliseconds_until(expires, clock::now())),
            limits: self.repr_limits(),
        });
        self.redact(&mut message);
        Outgoing {
            exchange: match message.delivery_info.exchange.as_str() {
                "" => Exchange::anonymous(),
                name => self.inner.queues.exchange(name),
            },
            routing_key: message.delivery_info.routing_key.clone(),
            // Where there is no exchange, the key is the name of a queue.
            queue: Some(&message.delivery_info)
                .filter(|info| info.exchange.is_empty())
                .map(|info| info.routing_key.clone()),
            // It was read with them.
            serializer: Serializer::from_name(&message.content_type).unwrap_or_default(),
            compression: message
                .compression
                .as_deref()
                .and_then(|mime| Compression::from_mime(mime).ok()),
            message,
        }
    }

    fn repr_limits(&self) -> repr::Limits {
        repr::Limits {
            max_levels: self.inner.config.task.repr_maxlevels,
            ..repr::Limits::default()
        }
    }

    /// Where a call goes: what the caller says, over what the task says, over its route, over the default queue.
    fn destination(
        &self,
        task: &str,
        options: &CallOptions,
        by_task: &Options,
    ) -> Result<Destination, Error> {
        let route = self.inner.routes.lookup(task);
        let pick = |called: &Option<String>, own: Option<&str>, routed: Option<&String>| {
            called.clone().or(own.map(str::to_owned)).or(routed.cloned())
        };
        let queue =
            pick(&options.queue, by_task.queue, route.and_then(|route| route.queue.as_ref()));
        let exchange = pick(
            &options.exchange,
            by_task.exchange,
            route.and_then(|route| route.exchange.as_ref()),
        );
        let key = pick(
            &options.routing_key,
            by_task.routing_key,
            route.and_then(|route| route.routing_key.as_ref()),
        );
        let priority = route.and_then(|route| route.priority);
        let queues = &self.inner.queues;
        let queue = match queue {
            Some(name) => Some(queues.find(&name).map_err(|error| Error::Call(error.to_string()))?),
            None if exchange.is_none() => Some(queues.find_default()),
            None => None,
        };
        Ok(match (queue, exchange, key) {
            // Celery's own rule: without both an exchange and a key, a direct queue is written to by its name.
            (Some(queue), None, _) | (Some(queue), _, None)
                if queue.exchange.kind == crate::broker::ExchangeKind::Direct =>
            {
                let routing_key = match queue {
                    Cow::Borrowed(queue) => queue.name.clone(),
                    Cow::Owned(queue) => queue.name,
                };
                let queue = Some(routing_key.clone());
                Destination { exchange: Exchange::anonymous(), routing_key, queue, priority }
            }
            (Some(queue), exchange, key) => {
                let queue = queue.into_owned();
                let exchange = exchange.map_or(queue.exchange, Exchange::direct);
                let routing_key = key.unwrap_or(queue.routing_key);
                Destination { exchange, routing_key, queue: Some(queue.name), priority }
            }
            (None, exchange, key) => Destination {
                exchange: exchange.map_or_else(Exchange::anonymous, |name| queues.exchange(&name)),
                routing_key: key.unwrap_or_else(|| queues.default_queue().routing_key),
                queue: None,
                priority,
            },
        })
    }
}

/// What was sent.
pub(crate) struct Sent {
    pub(crate) id: String,
    /// Whether it says that its result is not to be kept.
    pub(crate) ignored: bool,
    /// The results that there will be, where it is more than one task.
    pub(crate) tree: Option<Box<ResultTree>>,
}

impl Sent {
    /// What its caller gets.
    pub(crate) fn into_result<T>(self, app: &Celery) -> AsyncResult<T> {
        let tree = self.tree.map_or_else(|| ResultTree::task(self.id), |tree| *tree);
        AsyncResult::of_tree(app, Arc::new(tree), self.ignored)
    }

    /// The result of what was sent first, which the one who sent it lists among its children: what follows is a child of that.
    fn to_tuple(&self) -> Value {
        match &self.tree {
            Some(tree) => tree.origin().to_value(),
            None => result_tuple(&self.id),
        }
    }
}

struct Destination {
    exchange: Exchange,
    routing_key: String,
    queue: Option<String>,
    priority: Option<i64>,
}

/// A task message on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) message: TaskMessage,
    pub(crate) exchange: Exchange,
    pub(crate) routing_key: String,
    /// The queue, where one was named.
    pub(crate) queue: Option<String>,
    pub(crate) serializer: Serializer,
    pub(crate) compression: Option<Compression>,
}

impl Outgoing {
    /// Whether it goes into the queue that its routing key names, which needs no binding.
    pub(crate) fn goes_to_a_queue(&self) -> bool {
        self.exchange.name.is_empty()
    }

    /// What its caller's handle is to know.
    fn sent(&self) -> Sent {
        let ignored = self.message.headers.ignore_result == Some(true);
        Sent { id: self.message.id.clone(), ignored, tree: None }
    }
}

/// By which name a task is routed: the tasks that call another for each item go where that does.
fn route_name<'a>(task: &'a str, kwargs: &'a Map) -> &'a str {
    let inner = || kwargs.get("task")?.get("task")?.as_str();
    match task {
        "celery.map" | "celery.starmap" => inner().unwrap_or(task),
        _ => task,
    }
}

/// A task as results name it: its id, and no parent, in the tuple of which they are made.
pub(crate) fn result_tuple(id: &str) -> Value {
    serde_json::json!([[id, null], null])
}

/// The `expiration` of a message that expires then.
pub(crate) fn milliseconds_until(expires: Timestamp, now: Timestamp) -> String {
    Duration::try_from(expires.duration_since(now)).unwrap_or_default().as_millis().to_string()
}

/// The root of the tree that the task belongs to: itself, where its message names none.
fn root_of(task: &TaskMessage) -> String {
    task.headers.root_id.as_ref().unwrap_or(&task.id).clone()
}
