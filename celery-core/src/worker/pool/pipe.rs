//! What a worker and its child processes say to each other over their socket: frames of a length and JSON.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{io::AsyncReadExt, net::unix::OwnedReadHalf};

use crate::{
    codec::json, context::Join, protocol::TaskMessage, value::Value, worker::verdict::Verdict,
};

/// The first frame that a child receives: who it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::worker) struct Identity {
    /// The node name of its worker.
    pub(in crate::worker) hostname: String,
    /// How many children the worker had started by then, itself among them.
    pub(in crate::worker) number: u64,
    /// Its place among those that live, from zero.
    pub(in crate::worker) index: usize,
}

impl Identity {
    /// The name of the process, as Celery names it.
    pub(in crate::worker) fn name(&self) -> String {
        format!("ForkPoolWorker-{}", self.number)
    }
}

/// What a worker tells its child after that.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::worker) enum Order {
    /// Run this task.
    Run {
        /// The request.
        message: Box<TaskMessage>,
        /// After how long the task is told to stop. At its hard limit the child is killed.
        soft: Option<Duration>,
    },
    /// End.
    End,
}

/// What a child tells its worker.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::worker) enum Answer {
    /// It has started, and can run a task.
    Ready,
    /// It cannot start, and why.
    Refused(String),
    /// The task is over.
    Done(Box<Report>),
}

/// What came of a task in a child.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::worker) struct Report {
    /// What is to be done.
    pub(in crate::worker) verdict: Verdict,
    /// How long the task ran.
    pub(in crate::worker) runtime: Duration,
    /// The results of the tasks that it published.
    pub(in crate::worker) children: Vec<Value>,
    /// The join that it leaves to the worker.
    pub(in crate::worker) join: Option<Join>,
    /// The memory that the child occupies, in KiB, where the system tells.
    pub(in crate::worker) resident: Option<u64>,
}

/// The frame of a message: its length in four bytes, the last one first, and the message as JSON.
pub(in crate::worker) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let value = serde_json::to_value(message)?;
    // What JSON itself lacks is in values; the codec knows how it is written.
    let text = json::to_vec(&value);
    let length = u32::try_from(text.len())
        .map_err(|_| io::Error::other("what a task takes or gives is more than 4 GiB"))?;
    Ok([&length.to_le_bytes()[..], &text].concat())
}

fn unframe<T: DeserializeOwned>(text: &[u8]) -> io::Result<T> {
    let value = json::from_slice(text).map_err(io::Error::other)?;
    Ok(serde_json::from_value(value)?)
}

/// Writes a message, and waits until it is written.
pub(in crate::worker) fn write(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&frame(message)?)
}

/// Waits for a message. The end of the stream is an error, of the kind `UnexpectedEof`.
pub(in crate::worker) fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    let mut text = Vec::new();
    from.take(length.into()).read_to_end(&mut text)?;
    if text.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    unframe(&text)
}

/// The worker's end, from which it reads.
#[derive(Debug)]
pub(super) struct Answers {
    stream: OwnedReadHalf,
    buffer: BytesMut,
}

impl Answers {
    pub(super) fn new(stream: OwnedReadHalf) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Waits for the next one. The end of the stream is an error, of the kind `UnexpectedEof`.
    ///
    /// # Cancel safety
    /// Cancel safe: what was read of a frame is kept.
    pub(super) async fn next(&mut self) -> io::Result<Answer> {
        loop {
            if let Some((head, rest)) = self.buffer.split_first_chunk::<4>() {
                let length = u32::from_le_bytes(*head) as usize;
                if rest.len() >= length {
                    self.buffer.advance(4);
                    return unframe(&self.buffer.split_to(length));
                }
                self.buffer.reserve(4 + length - self.buffer.len());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{io::AsyncWriteExt, net::UnixStream};

    use super::*;

    fn report(result: Value) -> Answer {
        Answer::Done(Box::new(Report {
            verdict: Verdict::Succeed(result),
            runtime: Duration::from_millis(1500),
            children: vec![json!([["id", null], null])],
            join: None,
            resident: Some(4096),
        }))
    }

    #[tokio::test]
    async fn a_frame_that_comes_in_pieces_is_read_whole() {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let mut answers = Answers::new(ours.into_split().0);
        let frames = [frame(&Answer::Ready).unwrap(), frame(&report(json!("grüße"))).unwrap()];
        for byte in frames.concat() {
            let early = tokio::time::timeout(Duration::ZERO, answers.next()).await;
            if let Ok(answer) = early {
                assert!(matches!(answer.unwrap(), Answer::Ready));
            }
            theirs.write_all(&[byte]).await.unwrap();
        }
        let Answer::Done(report) = answers.next().await.unwrap() else { panic!("no report") };
        assert!(matches!(report.verdict, Verdict::Succeed(result) if result == "grüße"));
        drop(theirs);
        assert_eq!(answers.next().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_json_lacks_comes_through() {
        let given = json!([
            { "__type__": "float", "__value__": "nan" },
            { "__type__": "int", "__value__": "123456789012345678901234567890" },
            { "__type__": "datetime", "__value__": "2026-01-01T00:00:00+00:00" },
            1.0,
            0.1,
        ]);
        let frame = frame(&report(given.clone())).unwrap();
        let Answer::Done(report) = read(frame.as_slice()).unwrap() else { panic!("no report") };
        assert!(matches!(report.verdict, Verdict::Succeed(result) if result == given));
    }

    #[test]
    fn a_frame_that_breaks_off_is_the_end() {
        let whole = frame(&Order::End).unwrap();
        for length in 0..whole.len() {
            let error = read::<Order>(&whole[..length]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(matches!(read::<Order>(whole.as_slice()).unwrap(), Order::End));
    }
}
