//! Lost connections, refused ones, and TLS.

use std::sync::Arc;

use celery_core::{
    backend::Backend,
    broker::{Broker, BrokerError, Exchange, Publication, Queue},
    config::{ConfigLoader, ServerUrl},
    state::{State, TaskMeta},
    transport,
};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

use crate::server::{
    LIMIT, Space, body, config, message, prefix, take_one, to_queue, url, variable, within,
};

/// Stands between client and server, and cuts all connections when it is told to.
struct Proxy {
    port: u16,
    cut: watch::Sender<()>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Url::parse(url().expose()).unwrap();
        let server = (server.host_str().unwrap().to_owned(), server.port().unwrap_or(6379));
        let (cut, cuts) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut cuts) = (server.clone(), cuts.clone());
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let mut upstream =
                        TcpStream::connect((server.0.as_str(), server.1)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut upstream) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { port, cut }
    }

    fn url(&self) -> ServerUrl {
        let mut url = Url::parse(url().expose()).unwrap();
        url.set_port(Some(self.port)).unwrap();
        ServerUrl::parse(url.as_str()).unwrap()
    }

    async fn broker(&self, prefix: &str) -> Arc<dyn Broker> {
        transport::connect_broker(&self.url(), &config(&json!({ "global_keyprefix": prefix })))
            .await
            .unwrap()
    }

    async fn backend(&self, prefix: &str) -> Arc<dyn Backend> {
        transport::connect_backend(
            Some(&self.url()),
            &config(&json!({ "global_keyprefix": prefix })),
        )
        .await
        .unwrap()
    }

    fn cut(&self) {
        self.cut.send_replace(());
    }
}

#[tokio::test]
async fn a_waiting_consumer_learns_of_a_lost_connection_and_another_goes_on() {
    let proxy = Proxy::start().await;
    let space = Space::new().await;
    let broker = proxy.broker(&space.prefix).await;
    let mut consumer = broker.consume(&[Queue::named("q")], None).await.unwrap();
    let waiting = tokio::spawn(async move { consumer.next().await });
    tokio::task::yield_now().await;
    proxy.cut();
    let outcome = within("the loss", waiting).await.unwrap();
    assert!(matches!(outcome, Err(BrokerError::ConnectionLost(_))), "{outcome:?}");

    space.publish("q", "after").await;
    let mut consumer = broker.consume(&[Queue::named("q")], None).await.unwrap();
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "after");
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn a_delivery_is_settled_after_the_connection_was_lost() {
    let proxy = Proxy::start().await;
    let space = Space::new().await;
    let broker = proxy.broker(&space.prefix).await;
    space.publish("q", "one").await;
    space.publish("q", "two").await;
    let mut consumer = broker.consume(&[Queue::named("q")], None).await.unwrap();
    let deliveries = within("both", consumer.next()).await.unwrap();
    assert_eq!(deliveries.len(), 2);
    proxy.cut();
    let [one, two] = <[_; 2]>::try_from(deliveries).unwrap();
    one.ack().await.unwrap();
    proxy.cut();
    drop(two);
    let outcome = within("the loss", consumer.next()).await;
    assert!(matches!(outcome, Err(BrokerError::ConnectionLost(_))), "{outcome:?}");
    let mut consumer = broker.consume(&[Queue::named("q")], None).await.unwrap();
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "two");
    delivery.ack().await.unwrap();
    assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 0);
}

#[tokio::test]
async fn publishing_goes_on_after_the_connection_was_lost() {
    let proxy = Proxy::start().await;
    let space = Space::new().await;
    let broker = proxy.broker(&space.prefix).await;
    broker.publish(&[to_queue("q", message("one"))]).await.unwrap();
    proxy.cut();
    // The first may meet the broken connection, and must say so; the next must not.
    let mut published = 1;
    for _ in 0..2 {
        match broker.publish(&[to_queue("q", message("again"))]).await {
            Ok(()) => published += 1,
            Err(error) => assert!(matches!(error, BrokerError::ConnectionLost(_)), "{error:?}"),
        }
    }
    assert!(published >= 2);
    assert_eq!(space.broker.queue_len("q").await.unwrap(), published);
}

#[tokio::test]
async fn a_subscription_heals() {
    let proxy = Proxy::start().await;
    let space = Space::new().await;
    let broker = proxy.broker(&space.prefix).await;
    let queue = Queue {
        exchange: Exchange::fanout("ex"),
        routing_key: String::new(),
        ..Queue::named("listener")
    };
    let mut subscription = broker.subscribe(&queue).await.unwrap();
    proxy.cut();
    let publication = Publication {
        exchange: Exchange::fanout("ex"),
        routing_key: String::new(),
        message: message("hi"),
    };
    let publishing = async {
        // Until somebody hears it: nobody does while the subscription is made again.
        loop {
            space.broker.publish(std::slice::from_ref(&publication)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let received = tokio::select! { received = within("a message", subscription.next()) => received, () = publishing => unreachable!() };
    assert_eq!(&received.unwrap().body[..], b"hi");
}

#[tokio::test]
async fn who_waits_for_a_result_is_woken_after_the_connection_was_lost() {
    let proxy = Proxy::start().await;
    let prefix = prefix();
    let (far, near) = (proxy.backend(&prefix).await, Space::new().await);
    drop(near);
    let waiting = tokio::spawn({
        let far = Arc::clone(&far);
        async move { far.wait("an-id").await }
    });
    let direct =
        transport::connect_backend(Some(&url()), &config(&json!({ "global_keyprefix": prefix })))
            .await
            .unwrap();
    proxy.cut();
    direct.store(&TaskMeta::new("an-id", State::Success, json!(7))).await.unwrap();
    proxy.cut();
    let meta = within("the result", waiting).await.unwrap().unwrap();
    assert_eq!(meta.result, json!(7));
}

#[tokio::test]
async fn a_wrong_password_or_database_is_refused_and_not_shown() {
    let server = Url::parse(url().expose()).unwrap();
    let at = |login: &str, db: &str| {
        format!(
            "redis://{login}{}:{}/{db}",
            server.host_str().unwrap(),
            server.port().unwrap_or(6379)
        )
    };
    for url in [at("nobody:hunter2@", "0"), at("", "99999")] {
        let url = ServerUrl::parse(&url).unwrap();
        let error = transport::connect_broker(&url, &ConfigLoader::new().load().unwrap())
            .await
            .unwrap_err();
        assert!(matches!(error, BrokerError::Refused(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_lost_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = ServerUrl::parse(&format!("redis://127.0.0.1:{port}/0")).unwrap();
    let error =
        transport::connect_broker(&url, &ConfigLoader::new().load().unwrap()).await.unwrap_err();
    assert!(matches!(error, BrokerError::ConnectionLost(_)), "{error:?}");
}

#[tokio::test]
async fn a_certificate_is_verified_unless_the_url_says_otherwise() {
    let trusted = variable("CELERY_TEST_REDIS_TLS_URL");
    let bare = trusted.split('?').next().unwrap().to_owned();
    let prefix = prefix();
    let config = config(&json!({ "global_keyprefix": prefix }));
    for url in [trusted.clone(), format!("{bare}?ssl_cert_reqs=none"), bare.clone()] {
        let broker =
            transport::connect_broker(&ServerUrl::parse(&url).unwrap(), &config).await.unwrap();
        broker.publish(&[to_queue("q", message("over tls"))]).await.unwrap();
        let mut consumer = broker.consume(&[Queue::named("q")], None).await.unwrap();
        take_one(&mut consumer).await.ack().await.unwrap();
    }
    let url = ServerUrl::parse(&format!("{bare}?ssl_cert_reqs=required")).unwrap();
    let error = transport::connect_broker(&url, &config).await.unwrap_err();
    assert!(
        matches!(&error, BrokerError::Refused(source) if source.to_string().contains("certificate")),
        "{error:?}"
    );

    let backend = transport::connect_backend(Some(&ServerUrl::parse(&trusted).unwrap()), &config)
        .await
        .unwrap();
    backend.store(&TaskMeta::new("an-id", State::Success, json!(1))).await.unwrap();
    let meta = tokio::time::timeout(LIMIT, backend.wait("an-id")).await.unwrap().unwrap();
    assert_eq!(meta.result, json!(1));
}
