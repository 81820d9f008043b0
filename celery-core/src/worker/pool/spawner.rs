//! Starts child processes: the same program again, with one end of a socket pair for its standard input.

use std::{
    env,
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, net::UnixStream as Socket, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
};

use tokio::{net::UnixStream, process::Child, runtime::Handle, sync::oneshot};

use super::pipe::{self, Identity};

/// Tells a child of its socket, as [`name`] has it, and of its parent: `<device>:<inode>:<process>`.
///
/// The variable is passed on to what a task starts, which has another standard input, and is no child in this sense.
pub(in crate::worker) const SOCKET: &str = "CELERY_POOL_SOCKET";

/// A socket as the system tells it from others.
pub(in crate::worker) fn name(socket: OwnedFd) -> io::Result<String> {
    let told = File::from(socket).metadata()?;
    Ok(format!("{}:{}", told.dev(), told.ino()))
}

/// A thread from which all children of a worker are started.
///
/// The system kills a child with the thread that started it (see `claim` on the other side), so that none outlives its
/// worker. A thread of the runtime may end before the worker does.
#[derive(Debug)]
pub(super) struct Spawner {
    orders: mpsc::Sender<Order>,
}

struct Order {
    identity: Identity,
    started: oneshot::Sender<io::Result<Started>>,
}

/// A process that was started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Child,
    pub(super) socket: UnixStream,
}

impl Spawner {
    /// Starts the thread. It ends when the spawner is dropped.
    pub(super) fn new() -> io::Result<Self> {
        let (orders, taken) = mpsc::channel::<Order>();
        let runtime = Handle::current();
        thread::Builder::new().name("celery-pool".to_owned()).spawn(move || {
            let _runtime = runtime.enter();
            for order in taken {
                // Who no longer waits drops the process, which kills it.
                let _unwanted = order.started.send(start(&order.identity));
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts a process.
    pub(super) async fn start(&self, identity: Identity) -> io::Result<Started> {
        let (started, answer) = oneshot::channel();
        let gone = |_| io::Error::other("the thread that starts child processes is gone");
        self.orders.send(Order { identity, started }).map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }
}

fn start(identity: &Identity) -> io::Result<Started> {
    let (ours, theirs) = Socket::pair()?;
    // It finds room in the socket's buffer.
    pipe::write(&ours, identity)?;
    ours.set_nonblocking(true)?;
    let mut arguments = env::args_os();
    let mut command = Command::new(program()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command
        .args(arguments)
        .env(SOCKET, format!("{}:{}", name(theirs.try_clone()?.into())?, std::process::id()))
        .stdin(OwnedFd::from(theirs));
    let process = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
    Ok(Started { process, socket: UnixStream::from_std(ours)? })
}

/// This program: the very file that runs, also when another one has taken its place on the disk since.
fn program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { env::current_exe() }
}
