//! What a caller can say about one call.

use std::sync::Arc;

use super::{BadSignature, Spec};
use crate::{
    task::When,
    value::{Map, Value, number::seconds},
};

/// The options of a call. Whatever is `None` is left to the task, its route, and the settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    /// The id, in place of a new one.
    pub task_id: Option<String>,
    /// The earliest time to run.
    pub eta: Option<When>,
    /// The latest time to start.
    pub expires: Option<When>,
    /// The queue.
    pub queue: Option<String>,
    /// The exchange.
    pub exchange: Option<String>,
    /// The routing key.
    pub routing_key: Option<String>,
    /// The priority.
    pub priority: Option<i64>,
    /// The serializer, by name.
    pub serializer: Option<String>,
    /// The compression, by name.
    pub compression: Option<String>,
    /// Headers to add.
    pub headers: Map,
    /// A name to show instead of the task's.
    pub shadow: Option<String>,
    /// Whether the result is dropped.
    pub ignore_result: Option<bool>,
    /// Hard time limit, in seconds.
    pub time_limit: Option<f64>,
    /// Soft time limit, in seconds.
    pub soft_time_limit: Option<f64>,
    /// Callbacks.
    pub link: Vec<Spec>,
    /// Error callbacks.
    pub link_error: Vec<Spec>,
    /// The queue for answers.
    pub reply_to: Option<String>,
    /// The display form of the positional arguments, in place of the computed one.
    pub argsrepr: Option<String>,
    /// The display form of the keyword arguments, in place of the computed one.
    pub kwargsrepr: Option<String>,
    /// The root of the tree of tasks, in place of the current task's.
    pub root_id: Option<String>,
    /// The parent, in place of the current task.
    pub parent_id: Option<String>,
    /// The group that the task belongs to.
    pub group_id: Option<String>,
    /// Its place there.
    pub group_index: Option<i64>,
    /// The rest of the chain, the next step last.
    pub chain: Option<Vec<Value>>,
    /// The body of the chord that the task is a header member of, which all members share.
    pub chord: Option<Arc<Value>>,
    /// How often what stands here was replaced.
    pub replaced_task_nesting: Option<u32>,
    /// The names of the stamps. Empty is not the same as none: what has it is not stamped by who calls it.
    pub stamped_headers: Option<Vec<Value>>,
    /// The stamps, which Celery has beside the other options.
    pub stamps: Map,
    /// Options that we do not know, kept as they are, and those that are null, which says something else than their absence.
    pub extra: Map,
}

impl CallOptions {
    /// The `options` of a signature in its wire form: what is set, under Celery's names.
    pub fn to_map(&self) -> Map {
        let mut map = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let specs = |specs: &Vec<Spec>| {
            (!specs.is_empty()).then(|| specs.iter().map(Spec::to_value).collect())
        };
        put("task_id", text(&self.task_id));
        match self.eta {
            Some(When::In(delay)) => put("countdown", Some(seconds(delay.as_secs_f64()).into())),
            Some(When::At(at)) => put("eta", Some(at.to_string().into())),
            None => {}
        }
        match self.expires {
            Some(When::In(limit)) => put("expires", Some(seconds(limit.as_secs_f64()).into())),
            Some(When::At(at)) => put("expires", Some(at.to_string().into())),
            None => {}
        }
        put("queue", text(&self.queue));
        put("exchange", text(&self.exchange));
        put("routing_key", text(&self.routing_key));
        put("priority", self.priority.map(Value::from));
        put("serializer", text(&self.serializer));
        put("compression", text(&self.compression));
        put("headers", (!self.headers.is_empty()).then(|| Value::Object(self.headers.clone())));
        put("shadow", text(&self.shadow));
        put("ignore_result", self.ignore_result.map(Value::from));
        put("time_limit", self.time_limit.map(seconds).map(Value::from));
        put("soft_time_limit", self.soft_time_limit.map(seconds).map(Value::from));
        put("link", specs(&self.link));
        put("link_error", specs(&self.link_error));
        put("reply_to", text(&self.reply_to));
        put("argsrepr", text(&self.argsrepr));
        put("kwargsrepr", text(&self.kwargsrepr));
        put("root_id", text(&self.root_id));
        put("parent_id", text(&self.parent_id));
        put("group_id", text(&self.group_id));
        put("group_index", self.group_index.map(Value::from));
        put("chain", self.chain.clone().map(Value::Array));
        put("chord", self.chord.as_deref().cloned());
        put("replaced_task_nesting", self.replaced_task_nesting.map(Value::from));
        put("stamped_headers", self.stamped_headers.clone().map(Value::Array));
        for (key, value) in self.stamps.iter().chain(&self.extra) {
            map.entry(key).or_insert_with(|| value.clone());
        }
        map
    }

    /// Reads the `options` of a signature.
    ///
    /// # Errors
    /// [`BadSignature`] names an option of the wrong type.
    pub fn from_map(map: Map) -> Result<Self, BadSignature> {
        let mut options = Self::default();
        for (key, value) in map {
            if value.is_null() {
                options.extra.insert(key, value);
                continue;
            }
            let bad = || BadSignature::new(format!("option `{key}` cannot be {value}"));
            let text = || value.as_str().map(str::to_owned).ok_or_else(bad);
            let number = || value.as_f64().ok_or_else(bad);
            let integer = || value.as_i64().ok_or_else(bad);
            let when = || read_when(&value).ok_or_else(bad);
            match key.as_str() {
                "task_id" => options.task_id = Some(text()?),
                "countdown" | "eta" => options.eta = Some(when()?),
                "expires" => options.expires = Some(when()?),
                // kombu's own queues and exchanges come as their names.
                "queue" => options.queue = Some(text()?),
                "exchange" => options.exchange = Some(text()?),
                "routing_key" => options.routing_key = Some(text()?),
                "priority" => options.priority = Some(integer()?),
                "serializer" => options.serializer = Some(text()?),
                "compression" => options.compression = Some(text()?),
                "headers" => options.headers = value.as_object().cloned().ok_or_else(bad)?,
                "shadow" => options.shadow = Some(text()?),
                "ignore_result" => options.ignore_result = Some(value.as_bool().ok_or_else(bad)?),
                "time_limit" => options.time_limit = Some(number()?),
                "soft_time_limit" => options.soft_time_limit = Some(number()?),
                "link" => options.link = read_specs(value)?,
                "link_error" => options.link_error = read_specs(value)?,
                "reply_to" => options.reply_to = Some(text()?),
                "argsrepr" => options.argsrepr = Some(text()?),
                "kwargsrepr" => options.kwargsrepr = Some(text()?),
                "root_id" => options.root_id = Some(text()?),
                "parent_id" => options.parent_id = Some(text()?),
                "group_id" => options.group_id = Some(text()?),
                "group_index" => options.group_index = Some(integer()?),
                "chain" => options.chain = Some(value.as_array().cloned().ok_or_else(bad)?),
                "chord" => options.chord = Some(Arc::new(value)),
                "replaced_task_nesting" => {
                    let nesting = value.as_u64().and_then(|nesting| nesting.try_into().ok());
                    options.replaced_task_nesting = Some(nesting.ok_or_else(bad)?);
                }
                "stamped_headers" => {
                    options.stamped_headers = Some(value.as_array().cloned().ok_or_else(bad)?);
                }
                _ => {
                    options.extra.insert(key, value);
                }
            }
        }
        let names = options.stamped_headers.iter().flatten().filter_map(Value::as_str);
        for name in names {
            if let Some(stamp) = options.extra.shift_remove(name) {
                options.stamps.insert(name.to_owned(), stamp);
            }
        }
        Ok(options)
    }

    /// Puts the options of a call over these: what they say counts, and link what they link as well. The group and the stamps
    /// stay, where these have them, as they do in Celery: whoever waits for the group would wait for ever.
    pub(crate) fn overlay(&mut self, over: &Self) {
        let mut over = over.clone();
        if self.knows_its_group() {
            over.group_id = None;
        }
        if self.stamped_headers.is_some() || over.stamped_headers.is_none() {
            (over.stamped_headers, over.stamps) = (None, Map::new());
        } else {
            self.stamps.clear();
        }
        if !over.headers.is_empty() {
            self.headers.clear();
        }
        for (own, over) in
            [(&mut self.link, &mut over.link), (&mut self.link_error, &mut over.link_error)]
        {
            over.drain(..).for_each(|callback| add(own, &callback));
        }
        self.update(over);
    }

    /// What is said later goes before what was said.
    pub(crate) fn update(&mut self, later: Self) {
        // All by name, so that a new one is not forgotten here.
        let Self {
            task_id,
            eta,
            expires,
            queue,
            exchange,
            routing_key,
            priority,
            serializer,
            compression,
            headers,
            shadow,
            ignore_result,
            time_limit,
            soft_time_limit,
            link,
            link_error,
            reply_to,
            argsrepr,
            kwargsrepr,
            root_id,
            parent_id,
            group_id,
            group_index,
            chain,
            chord,
            replaced_task_nesting,
            stamped_headers,
            stamps,
            extra,
        } = later;
        self.link.extend(link);
        self.link_error.extend(link_error);
        self.headers.extend(headers);
        self.extra.extend(extra);
        self.stamps.extend(stamps);
        replace(&mut self.stamped_headers, stamped_headers);
        replace(&mut self.replaced_task_nesting, replaced_task_nesting);
        replace(&mut self.task_id, task_id);
        replace(&mut self.eta, eta);
        replace(&mut self.expires, expires);
        replace(&mut self.queue, queue);
        replace(&mut self.exchange, exchange);
        replace(&mut self.routing_key, routing_key);
        replace(&mut self.priority, priority);
        replace(&mut self.serializer, serializer);
        replace(&mut self.compression, compression);
        replace(&mut self.shadow, shadow);
        replace(&mut self.ignore_result, ignore_result);
        replace(&mut self.time_limit, time_limit);
        replace(&mut self.soft_time_limit, soft_time_limit);
        replace(&mut self.reply_to, reply_to);
        replace(&mut self.argsrepr, argsrepr);
        replace(&mut self.kwargsrepr, kwargsrepr);
        replace(&mut self.root_id, root_id);
        replace(&mut self.parent_id, parent_id);
        replace(&mut self.group_id, group_id);
        replace(&mut self.group_index, group_index);
        replace(&mut self.chain, chain);
        replace(&mut self.chord, chord);
    }

    /// What is set, without what is said to be null.
    pub(crate) fn without_nulls(mut self) -> Self {
        self.extra.retain(|_, value| !value.is_null());
        self
    }

    /// Whether it says which group it is in, or that it is in none.
    pub(crate) fn knows_its_group(&self) -> bool {
        self.group_id.is_some() || self.extra.contains_key("group_id")
    }
}

/// Adds a callback that is not there yet.
pub(crate) fn add(callbacks: &mut Vec<Spec>, callback: &Spec) {
    if !callbacks.contains(callback) {
        callbacks.push(callback.clone());
    }
}

fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

fn read_when(value: &Value) -> Option<When> {
    match value {
        Value::Number(number) => Some(When::in_seconds(number.as_f64()?)),
        Value::String(text) => {
            crate::date::parse(text, &jiff::tz::TimeZone::UTC).ok().map(When::At)
        }
        _ => None,
    }
}

fn read_specs(value: Value) -> Result<Vec<Spec>, BadSignature> {
    match value {
        Value::Array(values) => values.into_iter().map(Spec::from_value).collect(),
        one => Ok(vec![Spec::from_value(one)?]),
    }
}
