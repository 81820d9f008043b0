//! `worker`: runs tasks until it is told to stop.

mod banner;
#[cfg(unix)]
pub(super) mod child;
pub(super) mod platform;
mod endpoints;
mod restart;
mod stopping;
mod supervisor;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use celery_core::{
    app::Celery,
    value::Value,
    worker::{Autoscale, Heartbeat, Shutdown, Worker, WorkerHealth, WorkerOptions},
};
use clap::builder::FalseyValueParser;
use tokio_util::task::AbortOnDropHandle;

use self::{
    endpoints::Endpoints,
    stopping::{Stage, Stopping},
    supervisor::Supervisor,
};
use super::{
    Session,
    failure::Failure,
    logging::{self, LogLevel, LogTo, Process},
    output::{Output, pluralize},
    pidfile::PidFile,
    remote::seconds,
    signals::{Signal, Signals},
};

/// Runs tasks until it is told to stop.
///
/// SIGTERM and Ctrl-C let the tasks that run end; a second Ctrl-C, or SIGQUIT, does not. SIGHUP restarts it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node name, such as `w1@%h`. Expands %h (host name), %n (its name) and %d (its domain).
    #[arg(short = 'n', long, value_name = "NAME", env = "CELERY_WORKER_HOSTNAME")]
    hostname: Option<String>,
    /// Names of queues to take messages from, separated by commas, in place of those of the settings.
    #[arg(
        short = 'Q',
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = queue,
        env = "CELERY_WORKER_QUEUES"
    )]
    queues: Option<Vec<String>>,
    /// Names of queues to leave out, separated by commas.
    #[arg(
        short = 'X',
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = queue,
        env = "CELERY_WORKER_EXCLUDE_QUEUES"
    )]
    exclude_queues: Vec<String>,
    /// How many tasks run at once: a number, or `auto` for the number of CPUs.
    #[arg(short, long, value_name = "NUMBER", value_parser = concurrency, env = "CELERY_WORKER_CONCURRENCY")]
    concurrency: Option<Concurrency>,
    /// Between how many tasks at most, and at least, the number that run at once follows what there is to do: `10,3`.
    #[arg(long, value_name = "MAX,MIN", value_parser = autoscale, env = "CELERY_WORKER_AUTOSCALE")]
    autoscale: Option<Autoscale>,
    /// How tasks are run: inside the worker (`async`, or `threads`), in child processes (`prefork`), or one at a time.
    #[arg(short = 'P', long, value_parser = ["async", "prefork", "solo", "threads"], env = "CELERY_WORKER_POOL")]
    pool: Option<String>,
    /// After how many tasks a child process is replaced.
    #[arg(long, value_name = "NUMBER", env = "CELERY_WORKER_MAX_TASKS_PER_CHILD")]
    max_tasks_per_child: Option<u64>,
    /// With how much memory, in KiB, a child process is replaced after its task.
    #[arg(long, value_name = "KIB", env = "CELERY_WORKER_MAX_MEMORY_PER_CHILD")]
    max_memory_per_child: Option<u64>,
    /// What is logged.
    #[arg(
        short,
        long,
        value_enum,
        ignore_case = true,
        default_value = "WARNING",
        env = "CELERY_WORKER_LOGLEVEL"
    )]
    loglevel: LogLevel,
    /// Where it is logged, in place of standard error. Expands as `--hostname` does, and %p (node name).
    #[arg(short = 'f', long, value_name = "FILE", env = "CELERY_WORKER_LOGFILE")]
    logfile: Option<String>,
    /// A file for the id of the process, which also keeps a second worker from starting. Expands as `--logfile` does.
    #[arg(long, value_name = "FILE", env = "CELERY_WORKER_PIDFILE")]
    pidfile: Option<String>,
    /// A file that keeps what is revoked while the worker is away. Expands as `--logfile` does.
    #[arg(short = 'S', long, value_name = "FILE", env = "CELERY_WORKER_STATEDB")]
    statedb: Option<String>,
    /// Where `/livez` and `/readyz` answer, such as `127.0.0.1:8080` or `:8080`.
    #[arg(long, value_name = "HOST:PORT", env = "CELERY_WORKER_HEALTH_ADDRESS")]
    health_address: Option<String>,
    /// How many messages are held for each task that can run; 0 leaves it to the settings.
    #[arg(long, value_name = "NUMBER", env = "CELERY_WORKER_PREFETCH_MULTIPLIER")]
    prefetch_multiplier: Option<u32>,
    /// Seconds after which a task is stopped, if it has no limit of its own.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, env = "CELERY_WORKER_TIME_LIMIT")]
    time_limit: Option<Duration>,
    /// Seconds after which a task is told to stop, if it has no limit of its own.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, env = "CELERY_WORKER_SOFT_TIME_LIMIT")]
    soft_time_limit: Option<Duration>,
    /// Drop what waits in the queues before beginning.
    #[arg(long, alias = "discard", value_parser = FalseyValueParser::new(), env = "CELERY_WORKER_PURGE")]
    purge: bool,
    /// Do not listen to what other workers tell of themselves, and take no part in elections.
    #[arg(long)]
    without_gossip: bool,
    /// Do not ask other workers what they know at the start.
    #[arg(long)]
    without_mingle: bool,
    /// Send events of tasks, for monitors such as Flower, and `events`.
    #[arg(
        short = 'E',
        long,
        alias = "events",
        value_parser = FalseyValueParser::new(),
        env = "CELERY_WORKER_TASK_EVENTS"
    )]
    task_events: bool,
    /// Do not say by events that the worker lives: monitors take it for offline.
    #[arg(
        long,
        value_parser = FalseyValueParser::new(),
        env = "CELERY_WORKER_WITHOUT_HEARTBEAT"
    )]
    without_heartbeat: bool,
    /// Seconds between two events that say so: 2 unless it is given.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, env = "CELERY_WORKER_HEARTBEAT_INTERVAL")]
    heartbeat_interval: Option<Duration>,
}

/// How many tasks run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concurrency {
    /// As the settings say.
    BySettings,
    /// As many as there are CPUs.
    Auto,
    Number(usize),
}

impl Args {
    /// What is asked for that is a setting.
    pub(super) fn settings(&self) -> Vec<(String, Value)> {
        let pool = self.pool.as_deref().map(Value::from);
        let asked = [
            ("worker_pool", pool),
            ("worker_max_tasks_per_child", self.max_tasks_per_child.map(Value::from)),
            ("worker_max_memory_per_child", self.max_memory_per_child.map(Value::from)),
        ];
        asked.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Sets up the logs of a process of the worker with that node name, unless the program sees to that itself.
    fn set_up_logs(
        &self,
        app: &Celery,
        node: &str,
        process: Process,
        no_color: bool,
    ) -> Result<(), Failure> {
        let config = &app.config().worker;
        if !config.hijack_root_logger {
            return Ok(());
        }
        let to = self.logfile.as_ref().map_or(LogTo::StandardError, |file| {
            LogTo::File(PathBuf::from(platform::expand_node(file, node, process.number)))
        });
        let color = config.log_color.filter(|_| !no_color);
        logging::for_worker(self.loglevel, to, process, color, no_color)
    }

    fn options(&self, node: &str) -> WorkerOptions {
        let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
        WorkerOptions {
            hostname: Some(node.to_owned()),
            queues: self.queues.clone(),
            exclude_queues: self.exclude_queues.clone(),
            concurrency: match self.concurrency {
                Some(Concurrency::Number(number)) => Some(number),
                Some(Concurrency::Auto) => Some(cpus()),
                Some(Concurrency::BySettings) | None => None,
            },
            autoscale: self.autoscale,
            prefetch_multiplier: self.prefetch_multiplier.filter(|multiplier| *multiplier != 0),
            time_limit: self.time_limit,
            soft_time_limit: self.soft_time_limit,
            // Without it the settings decide.
            task_events: self.task_events.then_some(true),
            heartbeat: match self.heartbeat_interval.filter(|interval| !interval.is_zero()) {
                _ if self.without_heartbeat => Heartbeat::Never,
                Some(interval) => Heartbeat::Every(interval),
                None => Heartbeat::default(),
            },
            without_mingle: self.without_mingle,
            without_gossip: self.without_gossip,
            state_db: None,
        }
    }
}

pub(super) async fn run(
    session: &Session,
    args: Args,
    no_color: bool,
) -> Result<ExitCode, Failure> {
    let Session { app, output } = session;
    let node = Celery::node_name(args.hostname.as_deref().map(platform::expand_host).as_deref());
    args.set_up_logs(app, &node, Process::main(), no_color)?;
    let path = |template: &String| PathBuf::from(platform::expand_node(template, &node, 0));
    let of_settings = || Some(app.config().worker.state_db.as_ref()?.to_str()?.to_owned());
    let state_db = args.statedb.clone().or_else(of_settings).as_ref().map(path);
    let worker = Worker::new(app, WorkerOptions { state_db, ..args.options(&node) })?;
    let pidfile = args.pidfile.as_ref().map(|file| PidFile::create(path(file))).transpose()?;
    // Before anything is purged: a worker that cannot start is to leave what there is.
    let endpoints = match &args.health_address {
        Some(address) => Some(Endpoints::bind(address).await?),
        None => None,
    };
    if args.purge {
        purge(app, &worker, *output).await?;
    }
    if !output.quiet {
        let banner = banner::banner(app, &worker)?;
        let colored = if output.colors { format!("\x1b[1;36m{banner}\x1b[0m") } else { banner };
        output.line(&colored)?;
    }
    if app.registry()?.names().next().is_none() {
        tracing::warn!(
            "this program has no tasks: write `#[shared_task]` on a function; for those of other crates, build the app with `.autodiscover_tasks(celery::installed_apps!())`"
        );
    }
    let stopping = serve(worker, endpoints, *output).await?;
    app.close().await?;
    if stopping.restarts {
        drop(pidfile);
        return Err(restart::restart());
    }
    Ok(if stopping.is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the worker, and passes on what signals ask of it.
async fn serve(
    worker: Worker,
    endpoints: Option<Endpoints>,
    output: Output,
) -> Result<Stopping, Failure> {
    let mut signals = Signals::listen()?;
    let shutdown = Shutdown::default();
    let health = worker.health();
    let mut supervisor = Supervisor::new(health.clone());
    let _endpoints = endpoints
        .map(|endpoints| AbortOnDropHandle::new(tokio::spawn(endpoints.serve(health.clone()))));
    let mut running = Box::pin(worker.run(shutdown.clone()));
    let mut stopping =
        Stopping::new(std::env::var("REMAP_SIGTERM").is_ok_and(|to| to == "SIGQUIT"));
    loop {
        let signal = tokio::select! {
            done = &mut running => {
                supervisor.tell_the_rest();
                return done.map(|()| stopping).map_err(Failure::from);
            }
            signal = signals.next() => signal,
            () = supervisor.tell() => continue,
        };
        if signal == Signal::User1 {
            tell_what_is_held(&health);
            continue;
        }
        stopping.on(signal).iter().for_each(|words| say(output, words));
        if stopping.restarts && !shutdown.warm.is_cancelled() {
            say(output, &format!("Restarting celery worker ({})", restart::shown()));
        }
        supervisor.restarts = stopping.restarts;
        match stopping.stage {
            Stage::Running => {}
            Stage::Warm => shutdown.warm.cancel(),
            Stage::Cold => shutdown.cold.cancel(),
            Stage::Now => shutdown.now.cancel(),
            // Dropping the worker hands back what it holds.
            Stage::Gone => return Ok(stopping),
        }
    }
}

/// Celery's workers log the stacks of their threads. What tasks hold up a worker is seen from these.
fn tell_what_is_held(health: &WorkerHealth) {
    let report = health.report();
    let held = health.held();
    tracing::warn!(target: "celery::worker", "{} is {}: {} tasks run, {} wait\n{}", health.hostname(), report.stage.as_str(), report.active, report.reserved, held.join("\n"));
}

/// A closed standard output must not keep a worker from stopping.
fn say(output: Output, message: &str) {
    let _unwritten = output.line(&format!("\n{message}")).and_then(|()| io::stdout().flush());
}

async fn purge(app: &Celery, worker: &Worker, output: Output) -> Result<(), Failure> {
    let broker = app.publisher().await?;
    let mut messages = 0;
    for queue in worker.queues() {
        messages += broker.purge(&queue.name).await.map_err(celery_core::error::Error::from)?;
    }
    if messages > 0 {
        let words = pluralize(messages, "message");
        output.line(&format!("purge: Erased {messages} {words} from the queue.\n"))?;
    }
    Ok(())
}

/// The name of a queue. A nameless one would be consumed in place of those of the settings.
fn queue(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => {
            Err("the name of a queue is empty; leave the option out for the queues of the settings"
                .to_owned())
        }
        name => Ok(name.to_owned()),
    }
}

/// The greater number is the most, in whichever order they come; one alone is the most, and the fewest is 0.
fn autoscale(text: &str) -> Result<Autoscale, String> {
    let numbers: Option<Vec<usize>> =
        text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([max]) => Ok(Autoscale { max: *max, min: 0 }),
        Some([one, other]) => Ok(Autoscale { max: *one.max(other), min: *one.min(other) }),
        _ => Err("one or two numbers are needed, as in `10,3`".to_owned()),
    }
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.parse() {
        Ok(0) => Ok(Concurrency::BySettings),
        Ok(number) => Ok(Concurrency::Number(number)),
        Err(_) if text.eq_ignore_ascii_case("auto") => Ok(Concurrency::Auto),
        Err(_) => Err("a number, or `auto`, is needed".to_owned()),
    }
}
