//! `worker_state_db`: a file that keeps what is revoked, and the logical clock, while a worker is away.
//!
//! Celery's file is a Python shelve of pickles, which nothing but Python can read. This one is JSON:
//!
//! ```json
//! {"celery_state_db": 1, "clock": 42, "revoked": ["an id"], "revoked_stamps": [["team", "blue"]]}
//! ```

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::node::Node;
use crate::{
    control::revoked::{self, Kind},
    error::Error,
    value::Value,
};

/// The version of the file that is written, and the only one so far.
const VERSION: u32 = 1;

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    celery_state_db: u32,
    clock: u64,
    revoked: Vec<String>,
    revoked_stamps: Vec<(String, Value)>,
}

/// The file of a worker that runs. Dropped, it is written.
#[derive(Debug)]
pub(super) struct StateDb {
    path: PathBuf,
    node: Arc<Node>,
}

impl StateDb {
    /// Takes in what the file says, and shows that it can be written.
    ///
    /// # Errors
    /// [`Error::Call`] when the file is none of ours, and is left as it is; or when it cannot be read or written.
    pub(super) fn open(path: PathBuf, node: &Arc<Node>) -> Result<Self, Error> {
        let cannot = |why: &dyn std::fmt::Display| {
            Error::Call(format!("cannot use the state file `{}`: {why}", path.display()))
        };
        let document = match fs::read(&path) {
            Ok(bytes) => read(&bytes).map_err(|why| cannot(&why))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Document::default(),
            Err(error) => return Err(cannot(&error)),
        };
        node.revoked.merge(Kind::Ids, document.revoked);
        let stamps = document.revoked_stamps.iter();
        let stamps = stamps.map(|(name, value)| revoked::stamp(name, value));
        node.revoked.merge(Kind::Stamps, stamps);
        node.app.clock().adjust(document.clock);
        let written = write(&path, node);
        written.map_err(|error| cannot(&error))?;
        Ok(Self { path, node: Arc::clone(node) })
    }
}

impl Drop for StateDb {
    fn drop(&mut self) {
        if let Err(error) = write(&self.path, &self.node) {
            tracing::error!(target: "celery::worker", path = %self.path.display(), %error, "could not write the state file");
        }
    }
}

fn read(bytes: &[u8]) -> Result<Document, String> {
    if bytes.is_empty() {
        return Ok(Document::default());
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        format!(
            "it is no state file of this kind of worker ({error}); Celery's own, which Python's workers write, can be read by Python alone: give another path"
        )
    })?;
    if document.celery_state_db != VERSION {
        return Err(format!(
            "it is of version {}, and this worker knows version {VERSION}; give another path, or run the newer worker",
            document.celery_state_db
        ));
    }
    Ok(document)
}

/// Replaces the file in one step, so that it is the old one or the new one whenever somebody looks.
fn write(path: &Path, node: &Node) -> io::Result<()> {
    let stamps = node.revoked.stamps();
    let document = Document {
        celery_state_db: VERSION,
        clock: node.app.clock().forward(),
        revoked: node.revoked.all(),
        revoked_stamps: stamps
            .iter()
            .filter_map(|stamp| serde_json::from_str(stamp).ok())
            .collect(),
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file = fs::File::create(&beside)?;
    let written = serde_json::to_writer(&mut file, &document)
        .map_err(io::Error::from)
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It is the failure itself that is told.
        _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_refused_with_the_reason() {
        for (bytes, why) in [
            (b"\x13\x57\x9a\xce\x00\x10".as_slice(), "can be read by Python alone"),
            (br#"{"zrevoked": "x"}"#, "can be read by Python alone"),
            (
                br#"{"celery_state_db": 2, "clock": 1, "revoked": [], "revoked_stamps": []}"#,
                "it is of version 2",
            ),
        ] {
            let refused = read(bytes).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(read(b"").unwrap().revoked.is_empty());
    }
}
