//! `/livez` and `/readyz`: how a worker does, for whoever supervises it.
//!
//! As much of HTTP/1.1 as a probe speaks: one request a connection, small and soon.

use std::{io, sync::Arc, time::Duration};

use celery_core::worker::{HealthReport, WorkerHealth};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::cli::failure::Failure;

/// How much of a request is read.
const MOST: usize = 8 * 1024;
/// How long a probe may take to ask, and to hear the answer.
const LIMIT: Duration = Duration::from_secs(5);
/// How many are served at once; others wait.
const AT_ONCE: usize = 32;

/// A port at which probes ask.
#[derive(Debug)]
pub(super) struct Endpoints {
    listener: TcpListener,
}

impl Endpoints {
    /// Listens at the address, such as `0.0.0.0:8080` or `:8080`.
    pub(super) async fn bind(address: &str) -> Result<Self, Failure> {
        let whole =
            if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
        let listener = TcpListener::bind(&whole).await.map_err(|error| {
            Failure::new(format!(
                "cannot listen at the health address `{address}`: {error}; give a host and a free port, such as `127.0.0.1:8080`"
            ))
        })?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(target: "celery::worker", "health: http://{address}/livez and /readyz");
        }
        Ok(Self { listener })
    }

    /// Answers until it is dropped.
    pub(super) async fn serve(self, health: WorkerHealth) {
        let seats = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let health = health.clone();
                    tokio::spawn(async move {
                        let _seat = seat;
                        // A probe that breaks off has its answer: none.
                        _ = timeout(LIMIT, answer(stream, &health)).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(target: "celery::worker", %error, "health: cannot take a connection");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

async fn answer(mut stream: TcpStream, health: &WorkerHealth) -> io::Result<()> {
    let response = match head(&mut stream).await? {
        Some(head) => respond(&head, || health.report(), health.hostname()),
        None => response("431 Request Header Fields Too Large", "", true),
    };
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

/// What comes before the body, unless that is too long.
async fn head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&chunk[..read]);
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(head));
        }
        if head.len() > MOST {
            return Ok(None);
        }
    }
}

/// The whole response to a request.
fn respond(head: &[u8], report: impl FnOnce() -> HealthReport, node: &str) -> String {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return response("400 Bad Request", "", true);
    };
    if !version.starts_with("HTTP/1.") {
        return response("505 HTTP Version Not Supported", "", true);
    }
    if !matches!(method, "GET" | "HEAD") {
        return response("405 Method Not Allowed", "", true);
    }
    let with_body = method == "GET";
    let path = target.split('?').next().unwrap_or_default();
    let (name, report) = match path {
        "/livez" => ("live", report()),
        "/readyz" => ("ready", report()),
        _ => {
            let body = json!({ "error": "ask for /livez or /readyz" }).to_string();
            return response("404 Not Found", &body, with_body);
        }
    };
    let why = if name == "live" { &report.not_live } else { &report.not_ready };
    let body = json!({
        name: why.is_none(),
        "why": why,
        "node": node,
        "stage": report.stage.as_str(),
        "last_fetch_seconds": report.last_fetch.map(|age| age.as_secs_f64()),
        "active": report.active,
        "reserved": report.reserved,
    });
    let status = if why.is_none() { "200 OK" } else { "503 Service Unavailable" };
    response(status, &body.to_string(), with_body)
}

fn response(status: &str, body: &str, with_body: bool) -> String {
    let length = body.len();
    let shown = if with_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{shown}"
    )
}

#[cfg(test)]
mod tests {
    use celery_core::{
        app::Celery,
        worker::{Worker, WorkerOptions},
    };

    use super::*;

    fn health(name: &str) -> WorkerHealth {
        let url = format!("memory://{name}");
        let app = Celery::builder("test").environment_from([]).broker(url).build().unwrap();
        let options = WorkerOptions { hostname: Some("w@h".to_owned()), ..Default::default() };
        Worker::new(&app, options).unwrap().health()
    }

    #[tokio::test]
    async fn a_request_gets_the_status_that_is_its_due() {
        let health = health("endpoints-status");
        for (request, status) in [
            ("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
            ("GET /readyz?verbose HTTP/1.0\r\n\r\n", "503 Service Unavailable"),
            ("HEAD /livez HTTP/1.1\r\n\r\n", "200 OK"),
            ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
            ("POST /livez HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
            ("GET /livez HTTP/2\r\n\r\n", "505 HTTP Version Not Supported"),
            ("GET /livez\r\n\r\n", "400 Bad Request"),
            ("\u{0}\u{1}\r\n\r\n", "400 Bad Request"),
        ] {
            let response = respond(request.as_bytes(), || health.report(), "w@h");
            assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}{response}");
            let empty = request.starts_with("HEAD");
            assert_eq!(response.ends_with("\r\n\r\n"), empty || response.contains("Length: 0"));
        }
        let response = respond(b"GET /readyz HTTP/1.1\r\n\r\n", || health.report(), "w@h");
        assert!(
            response.contains(r#""ready":false,"why":"it does not consume yet""#),
            "{response}"
        );
    }

    #[tokio::test]
    async fn a_request_that_never_ends_is_cut_off() {
        let endpoints = Endpoints::bind("127.0.0.1:0").await.unwrap();
        let address = endpoints.listener.local_addr().unwrap();
        let serving = tokio::spawn(endpoints.serve(health("endpoints-long")));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let long = format!("GET /livez HTTP/1.1\r\nX: {}", "x".repeat(2 * MOST));
        // It may be answered before all of it is sent.
        _ = stream.write_all(long.as_bytes()).await;
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
        serving.abort();
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_listened_at_is_named() {
        let taken = Endpoints::bind("127.0.0.1:0").await.unwrap();
        let address = taken.listener.local_addr().unwrap().to_string();
        for address in [address.as_str(), "nonsense"] {
            let failure = Endpoints::bind(address).await.unwrap_err();
            assert!(failure.message.contains(&format!("`{address}`")), "{}", failure.message);
        }
    }
}
