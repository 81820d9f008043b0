use std::process::Stdio;

use serde_json::Value;
use tokio::{io::AsyncReadExt, net::UnixStream, process::Command};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    protocol::TaskMessage,
    worker::{
        pool::{ChildRules, Start},
        requests::{Hold, Requests},
        verdict::Verdict,
    },
};

/// The keeper of that program, and the child's end of the socket.
fn keeper(program: &[&str]) -> (Keeper, UnixStream) {
    let rules =
        ChildRules { alive_timeout: Duration::from_secs(4), max_tasks: None, max_memory: None };
    let children = Children::new("one@host", 1, rules, Start::OnDemand, CancellationToken::new());
    let identity = Identity { hostname: "one@host".to_owned(), number: 1, index: 0 };
    let process = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(process.id().unwrap().cast_signed()).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (answers, orders) = ours.into_split();
    let answers = Answers::new(answers);
    (Keeper { children, identity, process, pid, orders, answers, done: 0 }, theirs)
}

fn hold() -> Hold {
    Requests::new(["t.add"]).hold("t.add", TaskMessage::default())
}

fn job(hold: &Hold, order: &'static [u8]) -> (Job, oneshot::Receiver<End>) {
    let (end, ended) = oneshot::channel();
    (Job { order: Bytes::from_static(order), hard: None, held: hold.held(), end }, ended)
}

#[tokio::test]
async fn a_job_for_a_child_that_is_dead_already_has_not_begun() {
    let (mut keeper, theirs) = keeper(&["true"]);
    drop(theirs);
    let (_sender, mut jobs) = mpsc::channel(1);
    let hold = hold();
    let (job, ended) = job(&hold, b"order");
    assert!(keeper.serve(job, &mut jobs).await.is_break());
    // Nobody tells of an end, and so the lease takes another child.
    ended.await.unwrap_err();
    assert_eq!(keeper.children.count_job(1), 0);
}

#[tokio::test]
async fn a_job_whose_child_dies_with_the_order_is_lost() {
    let (mut keeper, mut theirs) = keeper(&["true"]);
    let (_sender, mut jobs) = mpsc::channel(1);
    let hold = hold();
    let (job, ended) = job(&hold, b"order");
    let dying = async move {
        let mut order = [0; 5];
        theirs.read_exact(&mut order).await.unwrap();
    };
    assert!(tokio::join!(keeper.serve(job, &mut jobs), dying).0.is_break());
    let End::Lost(why) = ended.await.unwrap() else { panic!("it is lost") };
    assert_eq!(why, "Worker exited prematurely: exitcode 0 Job: 0.");
}

#[tokio::test]
async fn a_child_that_was_sent_a_signal_for_a_job_gets_no_other_one() {
    for is_terminated in [true, false] {
        let (mut keeper, mut theirs) = keeper(&["sleep", "100"]);
        let (sender, mut jobs) = mpsc::channel(1);
        let hold = hold();
        if is_terminated {
            hold.terminate(9);
        }
        let (job, ended) = job(&hold, b"order");
        // The signal comes when all has been done, and the report is on its way.
        let reporting = async {
            let report = Report {
                verdict: Verdict::Succeed(Value::from(3)),
                runtime: Duration::ZERO,
                join: None,
                children: Vec::new(),
                resident: None,
            };
            let report = frame(&Answer::Done(Box::new(report))).unwrap();
            theirs.write_all(&report).await.unwrap();
        };
        assert!(tokio::join!(keeper.serve(job, &mut jobs), reporting).0.is_continue());
        assert!(matches!(ended.await.unwrap(), End::Told(_)));
        assert_eq!(sender.is_closed(), is_terminated);
    }
}
