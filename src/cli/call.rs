//! `call`: calls a task by its name.

use celery_core::{
    date,
    value::{Map, Value},
};

use super::{
    Session,
    failure::{Failure, USAGE},
};

/// Calls a task by name, and prints its id.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The name of the task, such as `proj.tasks.add`.
    name: String,
    /// Positional arguments, as a JSON array.
    #[arg(short, long, value_name = "JSON", default_value = "[]", value_parser = array, env = "CELERY_CALL_ARGS")]
    args: Array,
    /// Keyword arguments, as a JSON object.
    #[arg(short, long, value_name = "JSON", default_value = "{}", value_parser = object, env = "CELERY_CALL_KWARGS")]
    kwargs: Map,
    /// The earliest time to run it, in ISO 8601.
    #[arg(long, value_name = "TIME", env = "CELERY_CALL_ETA")]
    eta: Option<String>,
    /// Seconds from now until it is run, at the earliest.
    #[arg(long, value_name = "SECONDS", env = "CELERY_CALL_COUNTDOWN", conflicts_with = "eta")]
    countdown: Option<f64>,
    /// The latest time to start it, in ISO 8601, or seconds from now.
    #[arg(long, value_name = "TIME", env = "CELERY_CALL_EXPIRES")]
    expires: Option<String>,
    /// How the message is serialized: json, msgpack or yaml.
    #[arg(long, value_name = "NAME", default_value = "json", env = "CELERY_CALL_SERIALIZER")]
    serializer: String,
    /// The queue that it goes to, in place of its route.
    #[arg(long, value_name = "NAME", env = "CELERY_CALL_QUEUE")]
    queue: Option<String>,
    /// The exchange that it goes to.
    #[arg(long, value_name = "NAME", env = "CELERY_CALL_EXCHANGE")]
    exchange: Option<String>,
    /// The routing key that it goes with.
    #[arg(long, value_name = "KEY", env = "CELERY_CALL_ROUTING_KEY")]
    routing_key: Option<String>,
}

/// A JSON array. A type of its own, since clap takes a `Vec` for an option that may be repeated.
#[derive(Clone, Debug)]
struct Array(Vec<Value>);

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let app = &session.app;
    let time = |text: &str| {
        date::parse(text, &app.time_zone())
            .map_err(|error| Failure::new(error.to_string()).code(USAGE))
    };
    let mut call =
        app.send_task(args.name).args(args.args.0).kwargs(args.kwargs).serializer(args.serializer);
    if let Some(eta) = args.eta {
        call = call.eta(time(&eta)?);
    }
    if let Some(countdown) = args.countdown {
        call = call.countdown(countdown);
    }
    if let Some(expires) = args.expires {
        call = match expires.parse::<f64>() {
            Ok(seconds) => call.expires(seconds),
            Err(_) => call.expires_at(time(&expires)?),
        };
    }
    if let Some(queue) = args.queue {
        call = call.queue(queue);
    }
    if let Some(exchange) = args.exchange {
        call = call.exchange(exchange);
    }
    if let Some(key) = args.routing_key {
        call = call.routing_key(key);
    }
    let result = call.send().await?;
    session.output.line(result.id())?;
    Ok(())
}

fn array(text: &str) -> Result<Array, String> {
    match parse(text)? {
        Value::Array(args) => Ok(Array(args)),
        _ => Err("it is not a JSON array".to_owned()),
    }
}

fn object(text: &str) -> Result<Map, String> {
    match parse(text)? {
        Value::Object(kwargs) => Ok(kwargs),
        _ => Err("it is not a JSON object".to_owned()),
    }
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}
