//! Ends a server when xtask ends, in whatever way it ends.
//!
//! xtask starts itself once more as `xtask guard <folder> <program> <args>…` and holds the other end of that
//! process's standard input. The operating system closes it when xtask returns, panics, is interrupted or is killed;
//! the guard then kills the server and removes its folder. No signal handler is involved, so none can be missed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::failure::Failure;

/// The server's output, in its folder.
pub(crate) const LOG: &str = "server.log";

/// The longest time for which a server that ended by itself goes unnoticed.
const CHECK: Duration = Duration::from_millis(50);

/// The command that starts `program` under a guard. Keep the child's standard input open for as long as the server
/// is needed. The guard has a process group of its own: Ctrl-C reaches xtask, and the guard through it.
pub(crate) fn command(folder: &Path, program: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("guard")
        .arg(folder)
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    Ok(command)
}

/// The guard's own life: returns when the server has ended, or when standard input has.
pub(crate) fn run(folder: &Path, program: &Path, args: &[String]) -> Result<(), Failure> {
    let remedy = || format!("look into {}", folder.join(LOG).display());
    let mut server = start(folder, program, args).map_err(|error| {
        Failure::new(format!("cannot start {}: {error}", program.display()), remedy())
    })?;
    wait(&mut server, io::stdin(), folder)
        .map_err(|error| Failure::new(format!("lost the server: {error}"), remedy()))
}

fn start(folder: &Path, program: &Path, args: &[String]) -> io::Result<Child> {
    let log = File::create(folder.join(LOG))?;
    Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn wait(
    server: &mut Child,
    mut input: impl Read + Send + 'static,
    folder: &Path,
) -> io::Result<()> {
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        // Nothing is ever written: reading ends when the other end is closed, and an error means no less.
        _ = io::copy(&mut input, &mut io::sink());
        _ = ended.send(());
    });
    loop {
        // A server that ended by itself leaves its folder, for the log in it.
        if server.try_wait()?.is_some() {
            return Ok(());
        }
        match end.recv_timeout(CHECK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    server.kill()?;
    server.wait()?;
    fs::remove_dir_all(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::pipe;

    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder =
            std::env::temp_dir().join(format!("xtask-guard-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        folder
    }

    #[test]
    fn a_closed_input_ends_the_server_and_removes_its_folder() {
        let folder = folder("closed");
        let mut server = start(&folder, Path::new("sleep"), &["600".to_owned()]).unwrap();
        let (reader, writer) = pipe().unwrap();
        drop(writer);
        wait(&mut server, reader, &folder).unwrap();
        assert!(!server.wait().unwrap().success(), "it was killed");
        assert!(!folder.exists());
    }

    #[test]
    fn a_server_that_ends_by_itself_leaves_its_log() {
        let folder = folder("ended");
        let args = ["-c".to_owned(), "echo no such option; exit 1".to_owned()];
        let mut server = start(&folder, Path::new("sh"), &args).unwrap();
        let (reader, _writer) = pipe().unwrap();
        wait(&mut server, reader, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join(LOG)).unwrap(), "no such option\n");
        fs::remove_dir_all(folder).unwrap();
    }
}
