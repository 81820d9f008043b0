//! The other side of a pool of processes: this program as a child of a worker.
//!
//! A child is the same program with the same arguments, started anew. It builds an app of its own, with a state of its
//! own, and has connections of its own for what its tasks send and store themselves. Everything else is done by its
//! worker: a child runs a task and decides what follows, and tells that to its worker, which carries it out.

use std::{
    fs::File,
    future::pending,
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{LazyLock, Mutex, OnceLock, PoisonError},
    thread,
};

use rustix::process::{Pid, Signal, getpid, getppid, kill_process};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::{
    execute::Limits,
    panics,
    pool::{
        pipe::{self, Answer, Identity, Order, Report},
        spawner::{self, SOCKET},
    },
    trace::{Traced, trace},
    verdict::Outcome,
};
use crate::{app::Celery, context::Context, error::Error, memory, protocol::TaskMessage};

/// This process as a child of a worker.
///
/// [`Worker::run`](super::Worker::run) is one by itself where that is so, and `celery::cli::run` is, too. A program that
/// does more than run a worker asks [`is_child`](Self::is_child), and leaves the rest to its parent: ports that are
/// bound already, schedulers, other workers. Its workers have the same node names in each of its processes.
#[derive(Debug)]
pub struct ChildProcess {
    identity: Identity,
    socket: UnixStream,
}

impl ChildProcess {
    /// Whether this process is a child of a worker.
    ///
    /// To be asked before anything reads the standard input, by which a worker speaks to its children.
    pub fn is_child() -> bool {
        seat().is_some()
    }

    /// This process as a child of whichever worker it is a child of. Only once: what is claimed is to be
    /// [served](Self::serve).
    pub fn claim() -> Option<Self> {
        seat()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// This process as a child of the worker with that node name.
    pub(super) fn claim_for(hostname: &str) -> Option<Self> {
        let mut free = seat()?.lock().unwrap_or_else(PoisonError::into_inner);
        free.take_if(|child| child.identity.hostname == hostname)
    }

    /// Waits until the child has ended that this process is.
    pub(super) async fn ended() {
        ENDED.cancelled().await;
    }

    /// The name of the process, as Celery's logs have it: `ForkPoolWorker-1`.
    pub fn name(&self) -> String {
        self.identity.name()
    }

    /// The node name of the worker.
    pub fn hostname(&self) -> &str {
        &self.identity.hostname
    }

    /// The place among the children that live, from zero.
    pub fn index(&self) -> usize {
        self.identity.index
    }

    /// Tells the worker that this process cannot be its child, and why.
    pub fn refuse(self, reason: impl Into<String>) {
        // A worker that is gone has no use for it.
        let _gone = pipe::write(&self.socket, &Answer::Refused(reason.into()));
    }

    /// Runs the tasks that the worker sends, one at a time, until it says that it is enough.
    ///
    /// # Errors
    /// When the child cannot start. The worker has been told.
    pub async fn serve(self, app: &Celery) -> Result<(), Error> {
        let _ended = ENDED.clone().drop_guard();
        panics::install_hook();
        memory::is_elsewhere();
        let ready = match ignore_stop_signals() {
            Ok(()) => app.worker_process_init().await,
            Err(error) => Err(error.to_string()),
        };
        let ready = ready.and_then(|()| self.listen().map_err(|error| error.to_string()));
        let mut orders = match ready {
            Ok(orders) => orders,
            Err(reason) => {
                self.refuse(reason.clone());
                return Err(Error::Call(reason));
            }
        };
        self.tell(&Answer::Ready)?;
        while let Some(Order::Run { message, soft }) = orders.recv().await {
            let limits = Limits { hard: None, soft };
            let report = self.run(app, *message, limits).await;
            self.tell(&Answer::Done(Box::new(report)))?;
        }
        app.worker_process_shutdown().await;
        app.close().await
    }

    async fn run(&self, app: &Celery, message: TaskMessage, limits: Limits) -> Report {
        let task = app.registry().ok().and_then(|registry| registry.shared(&message.task));
        let task = task.expect("the worker, which is the same program, has found it");
        let context = Context::new(app.clone(), message, self.identity.hostname.clone());
        let Traced { verdict, runtime } =
            trace(&task, &context, limits, (), pending::<Outcome>()).await;
        let (children, join) = (context.children(), context.take_join());
        Report { verdict, runtime, children, join, resident: resident() }
    }

    /// The worker reads at once, so that nothing waits for long that might run here besides.
    fn tell(&self, answer: &Answer) -> Result<(), Error> {
        pipe::write(&self.socket, answer)
            .map_err(|error| Error::Call(format!("cannot speak to the worker: {error}")))
    }

    /// Listens to the worker on a thread of its own, which also works while a task keeps the runtime busy: with the end
    /// of the worker this process ends, whatever it is doing.
    fn listen(&self) -> io::Result<mpsc::UnboundedReceiver<Order>> {
        let socket = self.socket.try_clone()?;
        let (orders, taken) = mpsc::unbounded_channel();
        thread::Builder::new().name("celery-orders".to_owned()).spawn(move || {
            // A child that stops listening has ended.
            while let Ok(order) = pipe::read(&socket) {
                let _ended = orders.send(order);
            }
            end();
        })?;
        Ok(taken)
    }
}

/// Cancelled when the child has ended that this process is.
static ENDED: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// Where this process sits as a child, until it is claimed; `None` when it is none. That is looked at once.
fn seat() -> Option<&'static Mutex<Option<ChildProcess>>> {
    static SEAT: OnceLock<Option<Mutex<Option<ChildProcess>>>> = OnceLock::new();
    SEAT.get_or_init(|| connect().map(|child| Mutex::new(Some(child)))).as_ref()
}

/// Takes the socket that stands for the standard input. A child whose parent is gone ends here, and never comes to be
/// taken for a worker.
fn connect() -> Option<ChildProcess> {
    let told = std::env::var(SOCKET).ok()?;
    let (name, parent) = told.rsplit_once(':')?;
    let parent = Pid::from_raw(parent.parse().ok()?)?;
    let input = io::stdin().as_fd().try_clone_to_owned().ok()?;
    if spawner::name(input.try_clone().ok()?).ok()? != name {
        return None;
    }
    Some(sit_down(UnixStream::from(input), parent).unwrap_or_else(|_| end()))
}

fn sit_down(socket: UnixStream, parent: Pid) -> io::Result<ChildProcess> {
    // It is killed with the thread that started it, which lives as long as the worker.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Err(io::Error::other("the worker is gone"));
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let identity = pipe::read(&socket)?;
    Ok(ChildProcess { identity, socket })
}

/// Ends this process at once, whatever else it does.
fn end() -> ! {
    let _impossible = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

/// A signal that stops or restarts a worker is often sent to its whole group, and it is for the worker alone to decide what becomes
/// of its children. A listener takes the place of the default, and nobody asks it.
fn ignore_stop_signals() -> io::Result<()> {
    let kinds = [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::terminate(),
    ];
    for kind in kinds {
        let _heard_by_nobody = signal(kind)?;
    }
    Ok(())
}

/// The memory that this process occupies, in KiB, where the system tells.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(pages * page / 1024)
}
