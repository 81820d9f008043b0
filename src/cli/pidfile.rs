//! The pid file of a worker: the id of the process, and the proof that there is no other.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use super::failure::{CANNOT_CREATE, Failure};

/// A pid file of this process, removed when it is dropped.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Creates the file. One that a process left behind which is gone is replaced.
    pub(super) fn create(path: PathBuf) -> Result<Self, Failure> {
        if let Ok(text) = fs::read_to_string(&path) {
            match text.trim().parse::<u32>() {
                Ok(pid) if is_alive(pid) && pid != std::process::id() => {
                    return Err(Failure::new(format!(
                        "Pidfile ({}) already exists.\nSeems we're already running? (pid: {pid})",
                        path.display()
                    ))
                    .code(CANNOT_CREATE));
                }
                _ => fs::remove_file(&path).map_err(|error| cannot(&path, &error))?,
            }
        }
        let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(cannot(&path, &"another worker has just created it"));
            }
            Err(error) => return Err(cannot(&path, &error)),
        };
        writeln!(file, "{}", std::process::id()).map_err(|error| cannot(&path, &error))?;
        Ok(Self { path })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "could not remove the pid file");
        }
    }
}

fn cannot(path: &Path, reason: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("could not write the pid file {}: {reason}", path.display()))
        .code(CANNOT_CREATE)
}

/// Where the system does not tell, a process counts as alive: its file is then to be removed by hand.
fn is_alive(pid: u32) -> bool {
    !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_holds_the_id_of_this_process_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.pid");
        let file = PidFile::create(path.clone()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_pid_file_of_a_process_that_runs_is_in_the_way_and_a_stale_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.pid");
        fs::write(&path, "1\n").unwrap();
        let failure = PidFile::create(path.clone()).unwrap_err();
        assert_eq!(failure.code, CANNOT_CREATE);
        assert!(
            failure.message.ends_with("Seems we're already running? (pid: 1)"),
            "{}",
            failure.message
        );
        fs::write(&path, "4294967295\n").unwrap();
        if Path::new("/proc/self").exists() {
            let _file = PidFile::create(path.clone()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        }
    }
}
