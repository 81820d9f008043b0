//! A program that runs beside the test, and what it prints.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

/// How long a test waits for a line, a result or an end.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A program that is killed when the test is over.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<Line>,
    seen: Vec<Line>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

#[derive(Debug)]
struct Line {
    stream: Stream,
    text: String,
}

/// What a program has printed, and its exit status.
#[derive(Debug)]
pub(crate) struct Ended {
    /// There is none when it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        read(child.stdout.take().unwrap(), Stream::Out, sender.clone());
        read(child.stderr.take().unwrap(), Stream::Err, sender);
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for the next line that has this in it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, part: &str) {
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            let found = line.text.contains(part);
            self.seen.push(line);
            if found {
                return;
            }
        }
        panic!("there was no `{part}` in {:#?}", self.seen);
    }

    /// Sends the signal of that name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success(), "could not send {name}");
    }

    /// Waits until the program ends.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) => self.seen.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end after {:#?}", self.seen),
            }
        }
        // It has closed its output, which is the last thing that it does.
        let code = self.child.wait().unwrap().code();
        let text = |stream| {
            let lines = self.seen.iter().filter(|line| line.stream == stream);
            lines.map(|line| format!("{}\n", line.text)).collect()
        };
        Ended { code, out: text(Stream::Out), err: text(Stream::Err) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended and been waited for, which is what is wanted.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

impl Ended {
    /// What it printed, when it was a success.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }
}

fn read(from: impl Read + Send + 'static, stream: Stream, to: Sender<Line>) {
    thread::spawn(move || {
        for text in BufReader::new(from).lines().map_while(Result::ok) {
            // The test may be over already.
            if to.send(Line { stream, text }).is_err() {
                return;
            }
        }
    });
}
