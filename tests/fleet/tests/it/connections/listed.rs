//! Several URLs: the next one is tried when one cannot be reached, at the first connection and later.

use peers::{Server, Space, until};

use super::Fleet;

fn both(one: &Server, two: &Server) -> Space {
    Space::at(&format!("{};{}", one.url(), two.url()), "it:")
}

#[tokio::test]
async fn the_second_server_is_used_when_the_first_is_not_there_and_the_first_again_when_the_second_is_gone()
 {
    let (mut one, mut two) = (Server::with(&[]).await, Server::with(&[]).await);
    one.kill();
    let fleet = Fleet::start(&both(&one, &two)).await;
    fleet.is_whole().await;
    assert!(two.command::<u64>(&["DBSIZE"]).await > 0);

    let waiting = fleet.awaits("later");
    one.resume().await;
    two.kill();
    fleet.goes_on(waiting).await;
    // The queue and what remote control listens to are bound there, too.
    for exchange in ["celery", "celery.pidbox"] {
        let key = format!("it:_kombu.binding.{exchange}");
        until("the queues are bound", || async {
            one.command::<u64>(&["EXISTS", &key]).await == 1
        })
        .await;
    }
    assert!(fleet.worker.stop().await.success());
}

#[tokio::test]
async fn a_server_that_has_become_a_replica_is_left() {
    let (one, two) = (Server::with(&[]).await, Server::with(&[]).await);
    let fleet = Fleet::start(&both(&one, &two)).await;
    fleet.is_whole().await;
    let waiting = fleet.awaits("later");

    // Its connections stand, and it answers everything but writes.
    let port = two.port().to_string();
    let _: () = one.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    fleet.goes_on(waiting).await;
    assert!(fleet.worker.stop().await.success());
}
