//! What a worker tells those who supervise it: its health over HTTP, and systemd's protocol.

use std::{
    net::SocketAddr,
    os::{linux::net::SocketAddrExt, unix::net::UnixDatagram},
};

use peers::{LIMIT, Process, Space};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::harness::{call, command};

/// Asks over HTTP; returns the status and the body.
async fn ask(address: SocketAddr, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.expect("the worker listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the worker reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the worker answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, serde_json::from_str(body).expect("JSON"))
}

/// Asks until the status is that; returns the body.
async fn until(address: SocketAddr, path: &str, status: u16) -> Value {
    let asking = async {
        loop {
            let (found, body) = ask(address, path).await;
            if found == status {
                return body;
            }
        }
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap_or_else(|_| panic!("{path} is never {status}"))
}

/// An address at which nobody listens.
async fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("it has an address")
}

/// A Redis server of this test alone, which it may stop.
async fn server(folder: &tempfile::TempDir) -> (Process, Space) {
    let address = free().await;
    let mut server = Command::new("redis-server");
    server.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""]);
    let server = Process::start(server.current_dir(folder.path()));
    server.says("eady to accept connections").await;
    (server, Space::at(&format!("redis://{address}/0"), "health:"))
}

#[tokio::test]
async fn the_endpoints_tell_the_truth_while_the_broker_is_stopped_and_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, space) = server(&folder).await;
    let space = space.with_transport_option("health_check_interval", 0.2);
    let address = free().await;
    let line = ["worker", "-l", "INFO", "-c", "1", "--health-address", &address.to_string()];
    let mut worker = Process::start(&mut command(&space, &line));
    worker.says(" ready.").await;
    let ready = until(address, "/readyz", 200).await;
    assert_eq!(
        (&ready["ready"], &ready["why"], &ready["stage"]),
        (&json!(true), &json!(null), &json!("consuming"))
    );

    // Its connection stands, and nothing answers.
    server.signal("STOP").await;
    let stopped = until(address, "/readyz", 503).await;
    assert_eq!(stopped["ready"], json!(false));
    let why = stopped["why"].as_str().expect("a reason");
    assert!(why.starts_with("the broker has not answered for "), "{stopped}");
    let (status, live) = ask(address, "/livez").await;
    assert_eq!((status, &live["live"]), (200, &json!(true)), "{live}");

    server.signal("CONT").await;
    let back = until(address, "/readyz", 200).await;
    assert!(back["last_fetch_seconds"].as_f64().expect("a time") < 2.5, "{back}");
    let result = call(&space.app(), "fleet.add", json!([1, 2])).await;
    assert_eq!(result.get().await.expect("the task succeeds"), json!(3));

    // A worker whose slots are all taken still asks the broker whether it is there.
    let held = call(&space.app(), "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    for number in 0..4 {
        call(&space.app(), "fleet.add", json!([number, 0])).await;
    }
    server.signal("STOP").await;
    until(address, "/readyz", 503).await;
    server.signal("CONT").await;
    until(address, "/readyz", 200).await;
    worker.signal("TERM").await;
    let stopping = until(address, "/readyz", 503).await;
    assert_eq!((&stopping["stage"], &stopping["active"]), (&json!("stopping"), &json!(1)));
    assert_eq!(ask(address, "/livez").await.0, 200);
    space.open("gate").await;
    assert_eq!(held.get().await.expect("the task succeeds"), json!("gate"));
    assert!(worker.ended().await.success());
}

#[tokio::test]
async fn a_worker_without_its_broker_is_live_and_not_ready() {
    let (nobody, address) = (free().await, free().await);
    let space = Space::at(&format!("redis://{nobody}/0"), "health:");
    let line = ["worker", "-l", "INFO", "--health-address", &address.to_string()];
    let worker = Process::start(&mut command(&space, &line));
    worker.says("cannot consume").await;
    let starting = until(address, "/readyz", 503).await;
    assert_eq!(starting["stage"], json!("starting"));
    let why = starting["why"].as_str().expect("a reason");
    assert!(why.starts_with("it does not consume yet: "), "{why}");
    assert_eq!(ask(address, "/livez").await.0, 200);

    // Another worker cannot have the same address, and says so.
    let taken = Process::start(&mut command(&space, &line));
    taken.says(&format!("cannot listen at the health address `{address}`")).await;
}

/// The next message to the supervisor.
async fn told(socket: &UnixDatagram) -> String {
    let socket = socket.try_clone().expect("a second handle");
    let reading = tokio::task::spawn_blocking(move || {
        let mut buffer = [0; 512];
        let read = socket.recv(&mut buffer).expect("the worker tells something in time");
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    });
    reading.await.expect("reading does not panic")
}

async fn is_told(socket: &UnixDatagram, name: &str) {
    let space = Space::new();
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let mut line = command(&space, &["worker", "-l", "INFO", "-c", "1"]);
    let mut worker = Process::start(line.env("NOTIFY_SOCKET", name).env("WATCHDOG_USEC", "100000"));
    let mut words = Vec::new();
    while words.iter().filter(|words: &&String| *words == "WATCHDOG=1").count() < 3
        || !words.iter().any(|words| words.starts_with("READY=1\nSTATUS="))
    {
        words.push(told(socket).await);
    }
    assert!(words.iter().any(|words| words.starts_with("STATUS=starting: ")), "{words:?}");
    worker.signal("TERM").await;
    while told(socket).await != "STOPPING=1\nSTATUS=Stopping" {}
    assert!(worker.ended().await.success());
}

#[tokio::test]
async fn systemd_is_told_at_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    is_told(&socket, path.to_str().expect("a path of letters")).await;
}

#[tokio::test]
async fn systemd_is_told_at_an_abstract_name() {
    let name = format!("fleet-notify-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    is_told(&socket, &format!("@{name}")).await;
}

#[tokio::test]
async fn a_worker_tells_what_it_holds_when_it_gets_usr1() {
    let space = Space::new();
    let worker = crate::harness::worker(&space, &["-c", "1"]).await;
    let held = call(&space.app(), "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    worker.signal("USR1").await;
    worker.says("is consuming: 1 tasks run, 0 wait").await;
    worker.says(&format!("fleet.hold[{}]: Active", held.id())).await;
    space.open("gate").await;
    assert!(worker.stop().await.success());
}
