use super::*;

fn children(cold: CancellationToken) -> Arc<Children> {
    let rules =
        ChildRules { alive_timeout: Duration::from_secs(4), max_tasks: None, max_memory: None };
    Children::new("one@host", 2, rules, Start::AtOnce, cold)
}

/// Notes a child that is ready, as if it had been started.
fn is_ready(children: &Children, number: u64) {
    let child = Living { index: 0, pid: Some(7), jobs: 0 };
    children.books().living.insert(number, child);
}

#[tokio::test]
async fn nothing_is_started_for_a_worker_that_stops() {
    let cold = CancellationToken::new();
    let (is_cold, is_gone, is_closed) = (
        children(cold.clone()),
        children(CancellationToken::new()),
        children(CancellationToken::new()),
    );
    cold.cancel();
    is_gone.gone().cancel();
    is_closed.close().await;
    for children in [is_cold, is_gone, is_closed] {
        children.open();
        // Nor in the place of one that ends.
        is_ready(&children, 1);
        children.leaves(1);
        assert_eq!(children.written(), [0; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_does_not_wait_to_try_again() {
    let children = children(CancellationToken::new());
    is_ready(&children, 1);
    let began = Instant::now();
    let waiting = children.failed_to_start("ForkPoolWorker-2", "no licence", 6);
    let (_waited, ()) = tokio::join!(waiting, children.close());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn failures_are_in_a_row_when_no_child_has_lasted_or_run_a_task_between_them() {
    let children = children(CancellationToken::new());
    is_ready(&children, 1);
    let fails = async |known| {
        children.failed_to_start("ForkPoolWorker-2", "no licence", known).await;
        children.books().failures
    };
    assert_eq!((fails(0).await, fails(0).await, fails(1).await), (1, 1, 2));
    children.count_job(1);
    assert_eq!(children.books().failures, 0);
    assert_eq!((fails(2).await, fails(1).await), (1, 2));
    let lasting = sleep(SOON + Duration::from_millis(1));
    children.prove(lasting).await;
    assert_eq!(children.books().failures, 0);
    assert_eq!(fails(0).await, 1);
    children.prove(sleep(SOON / 2)).await;
    assert_eq!(children.books().failures, 1);
}
