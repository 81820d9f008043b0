//! What a fetch costs, from the script on the server to the messages of the deliveries: `cargo bench -p celery-redis`,
//! with the variables that `cargo xtask services` prints.

#![expect(clippy::print_stderr, reason = "a benchmark is read on a terminal")]

use std::{env, error::Error, num::NonZeroU32, sync::Arc, time::Duration};

use celery_core::{
    broker::{Broker, Consumer, Delivery, Exchange, Publication, Queue},
    config::{ConfigLoader, ServerUrl},
    message::Message,
    transport,
};
use celery_redis as _;
use criterion::{BenchmarkId, Criterion, Throughput};
use futures_util::future::try_join_all;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

const QUEUE: &str = "bench";

fn main() -> Result<(), Box<dyn Error>> {
    let Ok(url) = env::var("CELERY_TEST_REDIS_URL") else {
        eprintln!(
            "CELERY_TEST_REDIS_URL is not set, so that nothing is measured: \
             run `cargo xtask services`, and this with the variables that it prints"
        );
        return Ok(());
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("fetch");
    for batch in [1, 64, 256].into_iter().filter_map(NonZeroU32::new) {
        let (broker, mut consumer) = runtime.block_on(connect(&url, batch))?;
        group.throughput(Throughput::Elements(u64::from(batch.get())));
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter_custom(|times| {
                let measuring = measure(&*broker, &mut *consumer, batch, times);
                runtime.block_on(measuring).expect("Redis answers")
            });
        });
        runtime.block_on(async {
            consumer.close().await?;
            broker.delete(&Queue::named(QUEUE)).await
        })?;
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// A broker with keys of its own, and a consumer that takes so many at once.
async fn connect(
    url: &str,
    batch: NonZeroU32,
) -> Result<(Arc<dyn Broker>, Box<dyn Consumer>), Box<dyn Error>> {
    let prefix = format!("bench-{}:", Uuid::new_v4());
    let options = json!({ "global_keyprefix": prefix });
    let config = ConfigLoader::new().change("broker_transport_options", options).load()?;
    let broker = transport::connect_broker(&ServerUrl::parse(url)?, &config).await?;
    let consumer = broker.consume(&[Queue::named(QUEUE)], Some(batch)).await?;
    Ok((broker, consumer))
}

/// How long it takes so many times to have a batch that waits; publishing and acknowledging it are not counted.
async fn measure(
    broker: &dyn Broker,
    consumer: &mut dyn Consumer,
    batch: NonZeroU32,
    times: u64,
) -> Result<Duration, Box<dyn Error>> {
    let publication = Publication {
        exchange: Exchange::anonymous(),
        routing_key: QUEUE.to_owned(),
        message: Message { body: vec![b'x'; 200].into(), ..Message::default() },
    };
    let publications = vec![publication; batch.get() as usize];
    let mut spent = Duration::ZERO;
    for _ in 0..times {
        broker.publish(&publications).await?;
        let mut taken = Vec::new();
        while taken.len() < publications.len() {
            let began = Instant::now();
            taken.extend(consumer.next().await?);
            spent += began.elapsed();
        }
        try_join_all(taken.into_iter().map(Delivery::ack)).await?;
    }
    Ok(spent)
}
