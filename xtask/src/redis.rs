//! A Redis server of our own: on free ports of 127.0.0.1, in a folder of its own, with nothing kept.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use crate::Layout;
use crate::failure::Failure;
use crate::tls::{self, Certificates};
use crate::{guard, packages};

/// The driver waits with `BLMOVE`, which came with this version.
const OLDEST: (u32, u32) = (6, 2);

/// How often, and with which pause, a starting server is asked whether it answers: ten seconds in all.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Redis {
    guard: Child,
    port: u16,
    tls_port: u16,
    authority: PathBuf,
}

impl Redis {
    /// Finds or installs `redis-server`, starts it and waits until it answers.
    pub(crate) fn start(layout: &Layout) -> Result<Self, Failure> {
        let program = packages::find_or_install("redis-server", &packages::REDIS)?;
        check_version(&program)?;
        let folder = layout.own.join(format!("redis-{}", std::process::id()));
        let redis = Self::spawn(&program, &folder).map_err(|error| {
            Failure::new(
                format!("cannot set up {}: {error}", folder.display()),
                "make the target folder writable",
            )
        })??;
        redis.wait_until_ready(&folder)
    }

    fn spawn(program: &Path, folder: &Path) -> io::Result<Result<Self, Failure>> {
        // What an earlier process of the same number left, if the machine went down under it.
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let certificates = match tls::generate(folder) {
            Ok(certificates) => certificates,
            Err(failure) => return Ok(Err(failure)),
        };
        // Both are held until both are known, so that they differ.
        let (plain, tls) = (
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        );
        let (port, tls_port) = (plain.local_addr()?.port(), tls.local_addr()?.port());
        drop((plain, tls));
        let file = folder.join("redis.conf");
        fs::write(&file, config(port, tls_port, folder, &certificates))?;
        let guard = guard::command(folder, program)?.arg(file).spawn()?;
        Ok(Ok(Self { guard, port, tls_port, authority: certificates.authority }))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "waits for another program, on no runtime's thread"
    )]
    fn wait_until_ready(mut self, folder: &Path) -> Result<Self, Failure> {
        for _ in 0..TRIES {
            // The TLS port answers no plain PING; it is bound before either port is served.
            if answers_ping(self.port) {
                return Ok(self);
            }
            if !matches!(self.guard.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(PAUSE);
        }
        let log = fs::read_to_string(folder.join(guard::LOG)).unwrap_or_default();
        Err(Failure::new(
            format!("redis-server does not answer on port {}; its log says\n{log}", self.port),
            "read the log above: the server must be built with TLS (BUILD_TLS=yes) and be free to bind to 127.0.0.1",
        ))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn tls_url(&self) -> String {
        let authority = encode(&self.authority.to_string_lossy());
        format!(
            "rediss://127.0.0.1:{}/0?ssl_cert_reqs=required&ssl_ca_certs={authority}",
            self.tls_port
        )
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // A guard that cannot be waited for has ended; there is nobody to tell.
        _ = self.guard.wait();
    }
}

fn config(port: u16, tls_port: u16, folder: &Path, certificates: &Certificates) -> String {
    let file = |path: &Path| format!("{:?}", path.to_string_lossy());
    format!(
        "bind 127.0.0.1\nport {port}\ntls-port {tls_port}\ntls-auth-clients no\ntls-ca-cert-file {}\n\
         tls-cert-file {}\ntls-key-file {}\ndir {}\ndatabases 32\nsave \"\"\nappendonly no\ndaemonize no\n",
        file(&certificates.authority),
        file(&certificates.certificate),
        file(&certificates.key),
        file(folder),
    )
}

fn answers_ping(port: u16) -> bool {
    let ask = || -> io::Result<[u8; 7]> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| &answer == b"+PONG\r\n")
}

fn check_version(program: &Path) -> Result<(), Failure> {
    let remedy = format!("install Redis {}.{} or later", OLDEST.0, OLDEST.1);
    let output = Command::new(program).arg("--version").output().map_err(|error| {
        Failure::new(format!("cannot run {}: {error}", program.display()), remedy.clone())
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    match version(&text) {
        Some(found) if found >= OLDEST => {
            println!("xtask: redis-server {}.{} ({})", found.0, found.1, program.display());
            Ok(())
        }
        _ => Err(Failure::new(
            format!("{} is not new enough: {}", program.display(), text.trim()),
            remedy,
        )),
    }
}

/// The major and minor version in what `redis-server --version` prints.
fn version(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Percent-encodes a path for the query of a URL.
fn encode(path: &str) -> String {
    path.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_servers_own_words() {
        assert_eq!(
            version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"),
            Some((7, 0))
        );
        assert_eq!(version("Redis server v=6.2.0"), Some((6, 2)));
        assert_eq!(version("command not found"), None);
    }

    #[test]
    fn a_path_survives_the_query_of_a_url() {
        assert_eq!(encode("/tmp/my project/ca.pem"), "/tmp/my%20project/ca.pem");
        assert_eq!(encode("/a&b=ü"), "/a%26b%3D%C3%BC");
    }

    #[test]
    fn the_server_keeps_nothing_and_listens_on_this_machine_only() {
        let certificates = Certificates {
            authority: "ca.pem".into(),
            certificate: "server.pem".into(),
            key: "key.pem".into(),
        };
        let text = config(1, 2, Path::new("/tmp/my project"), &certificates);
        let lines: Vec<&str> = text.lines().collect();
        for line in [
            "bind 127.0.0.1",
            "port 1",
            "tls-port 2",
            "save \"\"",
            "appendonly no",
            "dir \"/tmp/my project\"",
        ] {
            assert!(lines.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_closed_port_does_not_answer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(!answers_ping(port));
    }
}
