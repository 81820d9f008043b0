//! Results on `memory://`, stored by hand.

use std::{pin::pin, sync::Arc, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    app::Celery,
    error::Error,
    state::{State, TaskMeta},
    tree::ResultTree,
    value::{Value, from_value, to_value},
};

const HOUR: Duration = Duration::from_secs(3600);

fn app(name: &str) -> Celery {
    let url = format!("memory://test-of-results-{name}");
    Celery::builder("test").environment_from([]).broker(&url).backend(&url).build().unwrap()
}

async fn store(app: &Celery, id: &str, state: State, result: Value) {
    let meta = TaskMeta { children: Some(Vec::new()), ..TaskMeta::new(id, state, result) };
    app.backend().await.unwrap().store(&meta).await.unwrap();
}

async fn success(app: &Celery, id: &str, value: impl Into<Value>) {
    store(app, id, State::Success, value.into()).await;
}

async fn failure(app: &Celery, id: &str, state: State, message: &str) {
    let error =
        json!({ "exc_type": "ValueError", "exc_message": [message], "exc_module": "builtins" });
    store(app, id, state, error).await;
}

async fn publishes(app: &Celery, id: &str, value: i64, children: &[ResultTree]) {
    let children = Some(children.iter().map(ResultTree::to_value).collect());
    let meta = TaskMeta { children, ..TaskMeta::new(id, State::Success, value.into()) };
    app.backend().await.unwrap().store(&meta).await.unwrap();
}

fn task(id: &str) -> ResultTree {
    ResultTree::task(id)
}

fn group<T>(app: &Celery, members: impl IntoIterator<Item = ResultTree>) -> GroupResult<T> {
    GroupResult::from_tree(app, ResultTree::group("group", members.into_iter().collect())).unwrap()
}

/// What a task failed with, as text.
fn said<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    outcome.unwrap_err().to_string()
}

/// Runs both; the first has to end, and not before the second.
async fn while_waiting<T>(wait: impl Future<Output = T>, act: impl Future<Output = ()>) -> T {
    let mut wait = pin!(wait);
    assert!(tokio::time::timeout(HOUR, &mut wait).await.is_err(), "it waits");
    act.await;
    tokio::time::timeout(HOUR, wait).await.expect("it was woken")
}

#[tokio::test(start_paused = true)]
async fn a_group_has_its_values_in_order_whatever_comes_first() {
    let app = app("order");
    let results: GroupResult<i64> = group(&app, ["a", "b", "c"].map(task));
    success(&app, "b", 2).await;
    let values = while_waiting(results.join(), async {
        success(&app, "c", 3).await;
        success(&app, "a", 1).await;
    });
    assert_eq!(values.await.unwrap(), [1, 2, 3]);
    assert_eq!(results.get().await.unwrap(), [1, 2, 3]);
    assert_eq!(
        results.outcomes().await.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(group::<i64>(&app, []).join().await.unwrap(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_a_join_and_names_its_task() {
    let app = app("failure");
    let results: GroupResult<i64> = group(&app, ["a", "b", "c"].map(task));
    let joined = while_waiting(results.join(), failure(&app, "b", State::Failure, "no")).await;
    assert_eq!(said(joined), "task b raised ValueError: no");
    assert_eq!(said(results.maybe_throw().await), "task b raised ValueError: no");

    failure(&app, "a", State::Revoked, "gone").await;
    assert_eq!(said(results.join().await), "task a raised ValueError: gone");
    success(&app, "c", 3).await;
    let outcomes = results.outcomes().await;
    assert_eq!(outcomes[2].as_ref().ok(), Some(&3));
    let failed = outcomes[..2].iter().map(|it| it.as_ref().unwrap_err().to_string());
    assert_eq!(
        failed.collect::<Vec<_>>(),
        ["task a raised ValueError: gone", "task b raised ValueError: no"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named_when_the_time_is_over() {
    let app = app("missing");
    let results: GroupResult<i64> = group(&app, ["a", "b", "c"].map(task));
    success(&app, "a", 1).await;
    success(&app, "c", 3).await;
    let joined = results.join_within(Duration::from_secs(2)).await;
    assert_eq!(said(joined), "the result of task b did not come within 2 s");
    success(&app, "b", 2).await;
    assert_eq!(results.join_within(Duration::ZERO).await.unwrap(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn members_are_told_of_as_they_come() {
    let app = app("arrivals");
    let results: GroupResult<i64> = group(&app, ["a", "b", "c"].map(task));
    success(&app, "c", 3).await;
    let mut arrivals = results.iter();
    let (result, value) = arrivals.next().await.unwrap();
    assert_eq!((result.id(), value.unwrap()), ("c", 3));
    let (result, value) = while_waiting(arrivals.next(), success(&app, "b", 2)).await.unwrap();
    assert_eq!((result.id(), value.unwrap()), ("b", 2));
    let next = while_waiting(arrivals.next(), failure(&app, "a", State::Failure, "no"));
    let (result, value) = next.await.unwrap();
    assert_eq!((result.id(), said(value)), ("a", "task a raised ValueError: no".to_owned()));
    assert!(arrivals.next().await.is_none());
    assert!(arrivals.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_group_within_a_group_is_the_list_of_its_values() {
    let app = app("nested");
    let inner = ResultTree::group("inner", vec![task("b"), task("c")]);
    let empty = ResultTree::group("empty", Vec::new());
    let results: GroupResult<Vec<i64>> = group(&app, [inner.clone(), empty]);
    success(&app, "b", 2).await;
    assert!(!results.ready().await.unwrap());
    assert_eq!(results.completed_count().await.unwrap(), 1);
    let joined = while_waiting(results.join(), success(&app, "c", 3)).await;
    assert_eq!(joined.unwrap(), [vec![2, 3], vec![]]);
    assert_eq!(results.completed_count().await.unwrap(), 2);

    let one: AsyncResult<Vec<i64>> = AsyncResult::from_tree(&app, inner.clone());
    assert_eq!(one.get().await.unwrap(), [2, 3]);
    let meta = one.wait().await.unwrap();
    assert_eq!((meta.state, meta.result), (State::Success, json!([2, 3])));
    assert_eq!(one.as_group::<i64>().unwrap().join().await.unwrap(), [2, 3]);
    let mixed: GroupResult = group(&app, [task("b"), inner]);
    assert_eq!(mixed.join().await.unwrap(), [json!(2), json!([2, 3])]);
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_group_is_that_of_its_members() {
    let app = app("states");
    let results: GroupResult<i64> = group(&app, ["a", "b"].map(task));
    let one = AsyncResult::<Value>::from_tree(&app, results.tree());
    assert!(results.waiting().await.unwrap() && !one.exists().await.unwrap());
    success(&app, "b", 2).await;
    assert_eq!(results.completed_count().await.unwrap(), 1);
    assert!(results.waiting().await.unwrap() && !results.successful().await.unwrap());
    assert_eq!(one.state().await.unwrap(), State::Pending);
    failure(&app, "a", State::Failure, "no").await;
    assert!(results.ready().await.unwrap() && results.failed().await.unwrap());
    assert!(!results.successful().await.unwrap());
    assert_eq!(one.wait().await.unwrap().state, State::Failure);
    assert_eq!(said(one.get().await), "task a raised ValueError: no");
    success(&app, "a", 1).await;
    assert!(results.successful().await.unwrap() && !results.failed().await.unwrap());
    assert_eq!(one.meta().await.unwrap().result, json!([1, 2]));
    one.forget().await.unwrap();
    assert!(results.waiting().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_what_came_before_is_that_of_what_follows() {
    let app = app("parents");
    let chain = || task("c").after(task("b")).after(task("a"));
    let last: AsyncResult<i64> = AsyncResult::from_tree(&app, chain());
    let parent = last.parent().unwrap();
    assert_eq!((parent.id(), parent.parent().unwrap().id()), ("b", "a"));
    assert_eq!(last.as_list(), ["c", "b", "a"]);

    // Nobody stores anything of what follows a revoked task.
    success(&app, "a", 1).await;
    let got = while_waiting(last.get(), failure(&app, "b", State::Revoked, "revoked")).await;
    assert_eq!(said(got), "task b raised ValueError: revoked");
    // What failed first is told of, whatever was stored first.
    failure(&app, "c", State::Failure, "boom").await;
    assert_eq!(said(last.get().await), "task b raised ValueError: revoked");
    assert_eq!(last.wait().await.unwrap().result["exc_message"], json!(["boom"]));
    assert_eq!(
        said(AsyncResult::<i64>::new(&app, "c").get().await),
        "task c raised ValueError: boom"
    );

    last.forget().await.unwrap();
    for id in ["a", "b", "c"] {
        assert!(!AsyncResult::<Value>::new(&app, id).exists().await.unwrap());
    }
    let followed: GroupResult<i64> = GroupResult::from_tree(
        &app,
        ResultTree::group("group", vec![chain(), task("d")]).after(task("before")),
    )
    .unwrap();
    success(&app, "d", 4).await;
    let outcomes =
        while_waiting(followed.outcomes(), failure(&app, "a", State::Failure, "early")).await;
    assert_eq!(outcomes[1].as_ref().ok(), Some(&4));
    assert_eq!(outcomes[0].as_ref().unwrap_err().to_string(), "task a raised ValueError: early");
    failure(&app, "before", State::Revoked, "all").await;
    assert_eq!(said(followed.join().await), "task before raised ValueError: all");
    assert_eq!(followed.parent().unwrap().id(), "before");
}

#[tokio::test(start_paused = true)]
async fn a_chord_fails_with_what_failed_in_its_header() {
    let app = app("chord");
    let header = ResultTree::group("header", vec![task("a"), task("b")]);
    let body: AsyncResult<i64> = AsyncResult::from_tree(&app, task("body").after(header));
    let got = while_waiting(body.get(), async {
        failure(&app, "b", State::Failure, "no").await;
        failure(&app, "body", State::Failure, "Dependency b raised ValueError('no')").await;
    });
    assert_eq!(said(got.await), "task b raised ValueError: no");
    success(&app, "b", 1).await;
    assert_eq!(
        said(body.get().await),
        "task body raised ValueError: Dependency b raised ValueError('no')"
    );
    success(&app, "body", 5).await;
    assert_eq!(body.get().await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_member_may_be_there_twice_and_its_result_is_shared() {
    let app = app("twice");
    let results: GroupResult<i64> = group(&app, ["a", "b", "a"].map(task));
    let joined = while_waiting(results.join(), async {
        success(&app, "b", 2).await;
        success(&app, "a", 1).await;
    });
    assert_eq!(joined.await.unwrap(), [1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_set_has_each_result_once() {
    let app = app("set");
    let result = |id: &str| AsyncResult::<i64>::new(&app, id);
    let ids = |set: &ResultSet<i64>| {
        set.results().iter().map(|result| result.id().to_owned()).collect::<Vec<_>>()
    };
    let mut set = ResultSet::new([result("a"), result("b"), result("a")]);
    set.add(result("b"));
    set.add(result("c"));
    set.update(["d", "c", "d"].map(result));
    assert_eq!(ids(&set), ["a", "b", "c", "d"]);
    assert_eq!(set.remove("b"), Some(result("b")));
    assert!(set.remove("b").is_none());
    assert_eq!((ids(&set), set.len()), (["a", "c", "d"].map(str::to_owned).to_vec(), 3));
    let joined = while_waiting(set.join(), async {
        for (number, id) in ["d", "c", "a"].into_iter().enumerate() {
            success(&app, id, number).await;
        }
    });
    assert_eq!(joined.await.unwrap(), [2, 1, 0]);
    set.forget().await.unwrap();
    assert!(set.waiting().await.unwrap());
    set.clear();
    assert!(set.is_empty() && set.successful().await.unwrap());
    assert_eq!(set.join().await.unwrap(), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_followed_is_collected_level_by_level() {
    let app = app("collect");
    publishes(&app, "root", 0, &[task("a"), ResultTree::group("g", vec![task("b"), task("c")])])
        .await;
    publishes(&app, "a", 1, &[task("d")]).await;
    let root = AsyncResult::<i64>::new(&app, "root");
    let children = root.children().await.unwrap();
    assert_eq!(children.iter().map(AsyncResult::id).collect::<Vec<_>>(), ["a", "g"]);
    assert_eq!(children[1].children().await.unwrap().len(), 2);
    assert_eq!(
        said(root.graph().await),
        "task g is not done, so that it is not known what follows it; wait for it first"
    );
    assert_eq!(root.graph_so_far().await.unwrap().nodes().count(), 4);

    publishes(&app, "b", 2, &[task("e"), task("root")]).await;
    let mut values = root.collect();
    let mut seen = Vec::new();
    let collected = while_waiting(
        async {
            while let Some(next) = values.next().await {
                let (result, value) = next.unwrap();
                seen.push((result.id().to_owned(), value));
            }
            seen
        },
        async {
            for (id, value) in [("e", 5), ("d", 4), ("c", 3)] {
                success(&app, id, value).await;
            }
        },
    );
    let expected = [
        ("root", json!(0)),
        ("a", json!(1)),
        ("g", json!([2, 3])),
        ("d", json!(4)),
        ("b", json!(2)),
        ("c", json!(3)),
        ("e", json!(5)),
    ];
    assert_eq!(collected.await, expected.map(|(id, value)| (id.to_owned(), value)));

    let graph = root.graph().await.unwrap();
    let edges: Vec<_> = graph.edges().collect();
    assert_eq!(
        edges,
        [
            ("root", "a"),
            ("root", "g"),
            ("a", "d"),
            ("g", "b"),
            ("g", "c"),
            ("b", "e"),
            ("b", "root")
        ]
    );
    failure(&app, "x", State::Failure, "no").await;
    let mut values = AsyncResult::<i64>::new(&app, "x").collect();
    assert_eq!(said(values.next().await.unwrap()), "task x raised ValueError: no");
    assert!(values.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_saved_group_is_restored_with_what_it_followed() {
    let app = app("saved");
    let tree = ResultTree::group("group", vec![task("a"), task("b")]).after(task("before"));
    let results: GroupResult<i64> = GroupResult::from_tree(&app, tree.clone()).unwrap();
    assert!(GroupResult::<i64>::restore(&app, "group").await.unwrap().is_none());
    results.save().await.unwrap();
    let restored: GroupResult<i64> = GroupResult::restore(&app, "group").await.unwrap().unwrap();
    assert_eq!(restored.tree(), tree);
    results.delete().await.unwrap();
    assert!(GroupResult::<i64>::restore(&app, "group").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_a_result_backend_a_group_cannot_be_saved() {
    let app = Celery::builder("test").environment_from([]).broker("memory://none").build().unwrap();
    let results: GroupResult<i64> = group(&app, [task("a")]);
    let refused = said(results.save().await);
    assert!(refused.starts_with("the result backend keeps no groups"), "{refused}");
    assert!(said(results.join().await).starts_with("no result backend is configured"));
}

#[tokio::test(start_paused = true)]
async fn results_are_written_as_tuples_and_read_for_the_current_app() {
    let app = app("tuples");
    let tuple = json!([["b", [["a", null], null]], null]);
    let result: AsyncResult<i64> = AsyncResult::from_tuple(&app, &tuple).unwrap();
    assert_eq!((result.as_tuple(), to_value(&result).unwrap()), (tuple.clone(), tuple.clone()));
    let group: GroupResult<i64> = group(&app, [task("a")]);
    let written = to_value(&group).unwrap();
    assert_eq!(written, json!([["group", null], [[["a", null], null]]]));

    app.scope_sync(|| {
        let read: AsyncResult<i64> = from_value(tuple.clone()).unwrap();
        assert_eq!(read.parent().unwrap().id(), "a");
        assert_eq!(from_value::<AsyncResult<i64>>(json!("an-id")).unwrap().id(), "an-id");
        assert_eq!(from_value::<GroupResult<i64>>(written.clone()).unwrap().as_tuple(), written);
        let refused = from_value::<GroupResult<i64>>(tuple.clone()).unwrap_err().to_string();
        assert!(refused.contains("b is the result of a task and not of a group"), "{refused}");
        assert!(from_value::<AsyncResult<i64>>(json!({})).is_err());
    });
    // A task that returned one gives one of the app that asked.
    success(&app, "outer", tuple).await;
    success(&app, "b", 7).await;
    let outer = AsyncResult::<AsyncResult<i64>>::new(&app, "outer");
    assert_eq!(outer.get().await.unwrap().get().await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_is_ignored_is_not_waited_for() {
    let app = app("ignored");
    let ignored = AsyncResult::<Option<i64>>::of_tree(&app, Arc::new(task("a")), true);
    let set = ResultSet::new([ignored.clone(), AsyncResult::new(&app, "b")]);
    success(&app, "b", 2).await;
    assert_eq!(set.join().await.unwrap(), [None, Some(2)]);
    assert_eq!(ignored.get().await.unwrap(), None);
    let refused = said(ignored.typed::<i64>().get().await);
    assert!(refused.starts_with("the result of task a is not kept"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_are_waited_for_together() {
    let app = app("many");
    let ids: Vec<String> = (0..10_000).map(|number| format!("task-{number}")).collect();
    let results: GroupResult<usize> = group(&app, ids.iter().map(ResultTree::task));
    for number in (0..10_000).step_by(2) {
        success(&app, &ids[number], number).await;
    }
    let joined = while_waiting(results.join(), async {
        for number in (1..10_000).step_by(2).rev() {
            success(&app, &ids[number], number).await;
        }
    });
    assert!(joined.await.unwrap().into_iter().eq(0..10_000));
    assert_eq!(results.completed_count().await.unwrap(), 10_000);
}
