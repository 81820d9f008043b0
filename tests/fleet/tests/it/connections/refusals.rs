//! What servers answer instead of doing what they are asked, each as a real one says it.

use std::{error::Error as _, pin::pin, time::Duration};

use celery::{
    AsyncResult, Celery, Error,
    core::{
        broker::{BrokerError, Queue},
        config::{ConfigLoader, ServerUrl},
        transport,
    },
};
use deadpool_redis::redis::{AsyncConnectionConfig, Client, RedisResult, cmd};
use peers::{Process, Server, Space, until};
use serde_json::Value;
use tokio::time::timeout;

use super::{Fleet, NODE};
use crate::harness::command;

/// An error with all that it comes from.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Calls a task that nobody runs.
async fn send(app: &Celery) -> Result<AsyncResult<Value>, Error> {
    app.send_task("fleet.add").args((1, 2)).send().await.map(AsyncResult::typed)
}

/// Waits until the server has answered so to somebody.
async fn has_answered(server: &Server, code: &str) {
    until(code, || async {
        let info = server.try_command::<String>(&["INFO", "errorstats"]).await;
        info.is_ok_and(|info| info.contains(&format!("errorstat_{code}:")))
    })
    .await;
}

/// Starts a worker that is to end at once, and returns what it says then.
async fn ends(space: &Space) -> String {
    let mut worker = Process::start(&mut command(space, &["worker", "-n", NODE]));
    assert!(!worker.ended().await.success());
    worker.log()
}

#[tokio::test]
async fn wrong_log_ins_and_rights_end_a_worker_that_starts_and_not_one_that_runs() {
    let everything = "~* &* +@all";
    let server = Server::with(&[&format!("user app on >right {everything}")]).await;
    let at =
        |login: &str| Space::at(&format!("redis://{login}127.0.0.1:{}/0", server.port()), "it:");
    let said = ends(&at("app:wrong@")).await;
    assert!(said.contains("user or password in the URL is wrong"), "{said}");
    assert!(!said.contains("wrong@"), "{said}");
    let _: () = server.command(&["ACL", "SETUSER", "app", "-eval"]).await;
    let said = ends(&at("app:right@")).await;
    assert!(said.contains("the user's rights do not suffice") && said.contains("'eval'"), "{said}");
    let _: () = server.command(&["ACL", "SETUSER", "app", "+eval"]).await;

    let fleet = Fleet::start(&at("app:right@")).await;
    fleet.is_whole().await;
    let _: () = server.command(&["ACL", "SETUSER", "app", "resetpass", ">other"]).await;
    let _: u64 = server.command(&["CLIENT", "KILL", "USER", "app"]).await;
    fleet.worker.says("user or password in the URL is wrong").await;
    let error = send(&fleet.app).await.expect_err("nobody lets it in");
    assert!(matches!(error, Error::Broker(BrokerError::Refused(_))), "{error:?}");
    let _: () = server.command(&["ACL", "SETUSER", "app", "resetpass", ">right"]).await;
    fleet.is_whole().await;
    assert!(fleet.worker.stop().await.success());

    let _: () = server.command(&["CONFIG", "SET", "requirepass", "secret"]).await;
    let said = ends(&at("")).await;
    assert!(said.contains("the server wants a password: put it into the URL"), "{said}");
}

#[tokio::test]
async fn a_server_without_memory_is_waited_for_and_told_of_when_it_takes_too_long() {
    let server = Server::with(&[]).await;
    let app = Space::at(&server.url(), "it:").with("broker_connection_timeout", 1).app();
    send(&app).await.expect("it is published");
    let _: () = server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let said = told(&send(&app).await.expect_err("there is no room for it"));
    assert!(said.contains("gave up after 1.") && said.contains("raise its `maxmemory`"), "{said}");

    let _: () = server.command(&["CONFIG", "RESETSTAT"]).await;
    let freeing = async {
        has_answered(&server, "OOM").await;
        let _: () = server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    };
    let (sent, ()) = tokio::join!(send(&app), freeing);
    sent.expect("it is published when there is room");
    assert_eq!(server.command::<u64>(&["LLEN", "it:celery"]).await, 2);
}

#[tokio::test]
async fn a_server_that_runs_a_long_script_is_waited_for() {
    let server = Server::with(&["busy-reply-threshold 20"]).await;
    let app = Space::at(&server.url(), "it:").app();
    send(&app).await.expect("it is published");
    let url = server.url();
    let running = tokio::spawn(async move { endless(&url).await });
    until("the server is busy", || async {
        let answer = server.try_command::<String>(&["PING"]).await;
        answer.is_err_and(|error| error.code() == Some("BUSY"))
    })
    .await;
    let mut sending = pin!(send(&app));
    let waits = timeout(Duration::from_millis(300), &mut sending).await.is_err();
    assert!(waits, "a server that is busy has published it");
    let _: () = server.command(&["SCRIPT", "KILL"]).await;
    sending.await.expect("it is published after the script");
    assert!(running.await.expect("it does not panic").is_err());
    assert_eq!(server.command::<u64>(&["LLEN", "it:celery"]).await, 2);
}

/// Runs a script that does not end by itself.
async fn endless(url: &str) -> RedisResult<()> {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    cmd("EVAL").arg("while true do end").arg(0).query_async(&mut connection).await
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for() {
    let lines =
        ["appendonly yes", "key-load-delay 2000", "loading-process-events-interval-bytes 1024"];
    let mut server = Server::with(&lines).await;
    let app = Space::at(&server.url(), "it:").app();
    send(&app).await.expect("it is published");
    let fill = "for i = 1, 500 do redis.call('SET', 'k' .. i, string.rep('x', 100)) end return 1";
    let _: u64 = server.command(&["EVAL", fill, "0"]).await;
    let _: () = server.command(&["BGREWRITEAOF"]).await;
    server.says("Background AOF rewrite finished successfully").await;
    server.kill();
    let (sent, ()) = tokio::join!(send(&app), server.resume());
    sent.expect("it is published when the data is there");
    has_answered(&server, "LOADING").await;
    assert_eq!(server.command::<u64>(&["LLEN", "it:celery"]).await, 2);
}

#[tokio::test]
async fn a_replica_that_stands_alone_is_waited_for_until_it_is_the_master() {
    let server = Server::with(&[]).await;
    let app = Space::at(&server.url(), "it:").app();
    send(&app).await.expect("it is published");
    let _: () = server.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let promoting = async {
        has_answered(&server, "READONLY").await;
        let _: () = server.command(&["REPLICAOF", "NO", "ONE"]).await;
    };
    let (sent, ()) = tokio::join!(send(&app), promoting);
    sent.expect("it is published when it is the master");
    assert_eq!(server.command::<u64>(&["LLEN", "it:celery"]).await, 2);
}

#[tokio::test]
async fn servers_that_cannot_serve_say_what_must_be_changed() {
    let connect = async |server: &Server| {
        let url = ServerUrl::parse(&server.url()).expect("a URL");
        let config = ConfigLoader::new().load().expect("settings");
        transport::connect_broker(&url, &config).await
    };
    let old = Server::with(&["rename-command HELLO \"\""]).await;
    let error = connect(&old).await.expect_err("it is too old");
    let BrokerError::Refused(why) = &error else { panic!("{error:?}") };
    assert!(why.to_string().contains("Redis 6.2 or later"), "{why}");

    let deaf = Server::with(&["rename-command CLIENT \"\""]).await;
    let broker = connect(&deaf).await.expect("it answers");
    let error = broker.consume(&[Queue::named("q")], None).await.expect_err("it cannot wait");
    let BrokerError::Refused(why) = &error else { panic!("{error:?}") };
    assert!(why.to_string().contains("CLIENT TRACKING"), "{why}");

    let full = Server::with(&["maxclients 2"]).await;
    let (_one, _two) = (full.connect().await, full.connect().await);
    let error = connect(&full).await.expect_err("there is no place");
    // The server may have hung up before it is heard why.
    assert!(matches!(error, BrokerError::ConnectionLost(_)), "{error:?}");
}
