//! Putting bytes into a queue of Redis, as any client of the server could.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use super::{Circle, redis_url};

/// Pushes each item into the queue `celery` of the circle.
pub(crate) fn push_raw<'a>(circle: &Circle, items: impl IntoIterator<Item = &'a [u8]>) {
    let url = redis_url();
    let address = url.strip_prefix("redis://").and_then(|rest| rest.strip_suffix("/0"));
    let mut stream = TcpStream::connect(address.expect("the url is redis://host:port/0"))
        .expect("the server answers");
    let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
    let key = format!("{}celery", circle.prefix);
    for item in items {
        let mut command =
            format!("*3\r\n$5\r\nLPUSH\r\n${}\r\n{key}\r\n${}\r\n", key.len(), item.len())
                .into_bytes();
        command.extend_from_slice(item);
        command.extend_from_slice(b"\r\n");
        stream.write_all(&command).expect("the server takes it");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("the server answers");
        assert!(answer.starts_with(':'), "{answer}");
    }
}
