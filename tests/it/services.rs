//! The servers and programs that `cargo xtask test` sets up. A test that needs one and does not find it fails.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

/// What the environment variable `name` says.
///
/// # Panics
///
/// When it is missing: a missing server is a failure, never a silent pass.
fn service(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

#[test]
fn redis_answers_at_its_url() {
    let url = service("CELERY_TEST_REDIS_URL");
    let address = url.strip_prefix("redis://").and_then(|rest| rest.strip_suffix("/0"));
    let mut stream = TcpStream::connect(address.expect("the url is redis://host:port/0")).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert_eq!(answer, "+PONG\r\n");
}

#[test]
fn interop_python_has_celery_and_reaches_redis_over_tls() {
    let script = "import celery, os; url = os.environ['CELERY_TEST_REDIS_TLS_URL']; \
                  print(celery.__version__, celery.Celery('it', backend=url).backend.client.ping())";
    let url = service("CELERY_TEST_REDIS_TLS_URL");
    let output = Command::new(service("CELERY_TEST_PYTHON"))
        .args(["-c", script])
        .env("CELERY_TEST_REDIS_TLS_URL", url)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "5.7.0 True\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
