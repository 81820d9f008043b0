use celery_core::{
    conformance::faulty::{Call, Faulty},
    memory::MemoryBroker,
};
use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// The app whose queues are migrated, and two brokers.
struct Move {
    session: Session,
    source: String,
    destination: String,
}

impl Move {
    /// With these tasks waiting at the source, in this order.
    async fn of(name: &str, tasks: &[&str]) -> Self {
        let source = format!("memory://{name}-source");
        let app =
            Celery::builder("test").environment_from([]).broker(source.clone()).build().unwrap();
        for (number, task) in tasks.iter().enumerate() {
            app.send_task(*task).args([number]).send().await.unwrap();
        }
        let output = Output { colors: false, quiet: true };
        Self {
            session: Session { app, output },
            source,
            destination: format!("memory://{name}-destination"),
        }
    }

    fn args(&self, options: &str) -> Args {
        let options = options.split(' ').filter(|word| !word.is_empty());
        let line =
            ["migrate", &self.source, &self.destination, "-t", "0.05"].into_iter().chain(options);
        Line::parse_from(line).args
    }

    async fn run(&self, options: &str) -> Result<(), Failure> {
        run(&self.session, self.args(options)).await
    }

    /// The tasks that wait at the broker, in their order; they are put back.
    async fn waiting(&self, url: &str, queue: &str) -> Vec<String> {
        let broker = MemoryBroker::named(url.strip_prefix("memory://").unwrap());
        if broker.queue_len(queue).await.unwrap() == 0 {
            return Vec::new();
        }
        let queues = [celery_core::broker::Queue::named(queue)];
        let batch = broker.consume(&queues, None).await.unwrap().next().await.unwrap();
        let app = &self.session.app;
        let names =
            batch.iter().map(|delivery| task(app, delivery.message.as_ref().unwrap()).unwrap());
        let names = names.collect();
        batch.into_iter().rev().for_each(drop);
        names
    }

    async fn check(&self, source: &[&str], destination: &[&str]) {
        assert_eq!(self.waiting(&self.source, "celery").await, source, "at the source");
        assert_eq!(
            self.waiting(&self.destination, "celery").await,
            destination,
            "at the destination"
        );
    }
}

#[tokio::test]
async fn messages_are_copied_and_keep_their_order_on_both_sides() {
    let it = Move::of("migrate-copy", &["t.a", "t.b", "t.c"]).await;
    it.run("").await.unwrap();
    it.check(&["t.a", "t.b", "t.c"], &["t.a", "t.b", "t.c"]).await;
}

#[tokio::test]
async fn messages_that_are_acknowledged_are_moved() {
    let it = Move::of("migrate-move", &["t.a", "t.b", "t.c"]).await;
    it.run("--ack-messages").await.unwrap();
    it.check(&[], &["t.a", "t.b", "t.c"]).await;
}

#[tokio::test]
async fn no_more_are_moved_than_the_limit_says() {
    let it = Move::of("migrate-limit", &["t.a", "t.b", "t.c"]).await;
    it.run("-a -n 2").await.unwrap();
    it.check(&["t.c"], &["t.a", "t.b"]).await;
    it.run("-a -n 0").await.unwrap();
    it.check(&[], &["t.a", "t.b", "t.c"]).await;
}

#[tokio::test]
async fn messages_of_other_tasks_stay_where_they_are() {
    let it = Move::of("migrate-tasks", &["t.a", "t.b", "t.a", "t.c"]).await;
    it.run("-a -T t.a,t.c").await.unwrap();
    it.check(&["t.b"], &["t.a", "t.a", "t.c"]).await;
}

#[tokio::test]
async fn a_queue_may_have_another_name_at_the_destination() {
    let it = Move::of("migrate-rename", &["t.a"]).await;
    it.run("-a -Q celery:other").await.unwrap();
    it.check(&[], &[]).await;
    assert_eq!(it.waiting(&it.destination, "other").await, ["t.a"]);
    let bound = MemoryBroker::named("migrate-rename-destination").bindings().await.unwrap();
    assert_eq!((&*bound[0].queue, &*bound[0].exchange, bound.len()), ("other", "other", 1));
}

#[tokio::test]
async fn a_message_that_does_not_arrive_is_still_at_the_source() {
    let it = Move::of("migrate-fault", &["t.a", "t.b"]).await;
    let args = it.args("-a");
    let routes = Route::all(&args.queues, it.session.app.queues()).unwrap();
    let named = |url: &str| MemoryBroker::named(url.strip_prefix("memory://").unwrap());
    let source: Arc<dyn Broker> = Arc::new(named(&it.source));
    let faulty = Faulty::new(Arc::new(named(&it.destination)));
    faulty.lose_connection_on(Call::Publish, 1);
    let destination: Arc<dyn Broker> = Arc::new(faulty);
    let failure = migrate(&it.session, &args, &routes, &source, &destination).await.unwrap_err();
    assert_eq!(failure.code, crate::cli::failure::UNAVAILABLE, "{}", failure.message);
    it.check(&["t.a", "t.b"], &[]).await;
    migrate(&it.session, &args, &routes, &source, &destination).await.unwrap();
    it.check(&[], &["t.a", "t.b"]).await;
}

#[tokio::test]
async fn a_queue_is_not_migrated_into_itself() {
    let mut it = Move::of("migrate-itself", &["t.a"]).await;
    it.destination.clone_from(&it.source);
    for options in ["-a", "-a -Q a:b,b"] {
        let failure = it.run(options).await.unwrap_err();
        assert_eq!(failure.code, USAGE);
        assert!(failure.message.contains("would go back into the queue"), "{}", failure.message);
    }
    it.run("-a -Q celery:other").await.unwrap();
    assert_eq!(it.waiting(&it.source, "other").await, ["t.a"]);
}

#[tokio::test]
async fn a_message_is_shown_as_python_shows_its_body() {
    let it = Move::of("migrate-line", &["t.a"]).await;
    let broker = MemoryBroker::named("migrate-line-source");
    let queues = [celery_core::broker::Queue::named("celery")];
    let batch = broker.consume(&queues, None).await.unwrap().next().await.unwrap();
    let message = batch[0].message.as_ref().unwrap();
    let embed = "{'callbacks': None, 'errbacks': None, 'chain': None, 'chord': None}";
    assert_eq!(
        line(&it.session.app, 1, 3, message),
        format!("Migrating task 1/3: [[0], {{}}, {embed}]")
    );
    let pickled = Message {
        content_type: Some("application/x-python-serialize".to_owned()),
        body: "12345".into(),
        ..Message::default()
    };
    assert_eq!(
        line(&it.session.app, 2, 0, &pickled),
        "Migrating task 2/?: <5 bytes of application/x-python-serialize>"
    );
}
