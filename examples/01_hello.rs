//! Run it with `cargo run --example 01_hello`. It needs no server: everything stays inside this process.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use celery::{Shutdown, Worker, WorkerOptions, prelude::*};

#[shared_task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[shared_task(bind)]
async fn fetch(task: &Context, url: String) -> Result<String, TaskError> {
    if task.retries() < 2 {
        return Err(task.retry().countdown(0.1).into());
    }
    Ok(format!("{url}, at attempt {}", task.retries() + 1))
}

#[shared_task]
fn parse(text: String) -> Result<i64, std::num::ParseIntError> {
    text.parse()
}

#[tokio::main]
async fn main() -> Result<(), celery::Error> {
    let app =
        Celery::builder("hello").broker("memory://hello").backend("memory://hello").build()?;
    app.set_current();

    let shutdown = Shutdown::default();
    let worker = Worker::new(&app, WorkerOptions::default())?;
    let running = tokio::spawn(worker.run(shutdown.clone()));

    let sum = Add::delay(2, 2).await?;
    println!("2 + 2 is {}", sum.get().await?);

    let page = Fetch::delay("https://example.org".to_owned()).await?;
    println!("fetched {}", page.get().await?);

    let number = Parse::delay("four".to_owned()).await?;
    if let Err(error) = number.get().await {
        println!("{error}");
    }

    shutdown.warm.cancel();
    running.await.expect("the worker does not panic")?;
    Ok(())
}
