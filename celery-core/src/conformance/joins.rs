//! What every result backend must do that counts the parts of chords.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::interval};

use crate::{
    backend::{Backend, Callback, Counted, Joined, Joins, NewJoin, Part, Tally, Unfinished},
    state::{State, TaskMeta},
    tree::ResultTree,
};

use super::{LIMIT, within};

/// Makes a test of each case of the suite for [joins](crate::backend::Joins); see [`conformance`](crate::conformance). The
/// backend MUST be made with a `result_chord_join_timeout` of half a second.
#[macro_export]
macro_rules! joins_conformance {
    ($setup:expr) => {
        $crate::__conformance_cases! { joins, $setup,
            the_last_part_completes_a_join
            parts_are_in_the_order_of_their_places
            a_part_that_comes_again_is_counted_once
            one_task_at_two_places_is_two_parts
            a_part_is_stored_when_it_is_counted
            failures_are_parts_too
            a_part_may_be_expected_later
            parts_may_be_counted_before_the_join_begins
            what_the_header_nests_is_kept
            a_join_of_thousand_parts_at_once_is_completed_once

            a_join_is_left_to_who_completes_it_and_then_goes_to_another
            a_join_that_nobody_finishes_is_overdue_with_all_that_is_needed
            a_finished_join_stays_finished
            a_join_is_finished_by_one
            a_finished_join_begins_anew

            nothing_is_known_of_other_joins
            an_unfinished_join_can_be_looked_at
            unfinished_joins_are_listed_the_oldest_first
        }
    };
}

/// A backend's joins, and the body of each join.
struct Chords(Arc<dyn Backend>);

impl Chords {
    fn joins(&self) -> &dyn Joins {
        self.0.joins().expect("the backend counts the parts of chords")
    }

    async fn begin(&self, group_id: &str, members: &[&str]) {
        let joins = [new(group_id, members)];
        within(LIMIT, "to begin a join", self.joins().begin(&joins))
            .await
            .expect("a join can be begun");
    }

    async fn count(&self, group_id: &str, index: i64, meta: &TaskMeta) -> Option<Joined> {
        self.count_at(group_id, Some(index), meta).await
    }

    async fn count_at(
        &self,
        group_id: &str,
        index: Option<i64>,
        meta: &TaskMeta,
    ) -> Option<Joined> {
        let callback = callback(&meta.task_id);
        let part = Part { group_id, index, meta, stores: true, callback: &callback };
        within(LIMIT, "to count a part", self.joins().count(part))
            .await
            .expect("a part can be counted")
    }

    async fn finish(&self, joined: &Joined) -> bool {
        within(LIMIT, "to finish a join", self.joins().finish(joined))
            .await
            .expect("a join can be finished")
    }

    async fn overdue(&self) -> Vec<Joined> {
        within(LIMIT, "the overdue joins", self.joins().overdue())
            .await
            .expect("overdue joins can be asked for")
    }

    async fn look(&self, group_id: &str) -> Option<Unfinished> {
        within(LIMIT, "to look at a join", self.joins().look(group_id))
            .await
            .expect("a join can be looked at")
    }

    async fn unfinished(&self) -> Vec<Tally> {
        within(LIMIT, "the unfinished joins", self.joins().unfinished())
            .await
            .expect("unfinished joins can be listed")
    }

    /// A join of two, complete and claimed.
    async fn complete(&self, group_id: &str) -> Joined {
        self.begin(group_id, &["a", "b"]).await;
        assert_eq!(self.count(group_id, 0, &done("a", 1)).await, None);
        self.count(group_id, 1, &done("b", 2)).await.expect("both parts are there")
    }
}

fn new(group_id: &str, members: &[&str]) -> NewJoin {
    let members: Vec<_> = members.iter().copied().map(ResultTree::task).collect();
    let size = members.len() as u64;
    let header = ResultTree::group(group_id, members);
    NewJoin { group_id: group_id.to_owned(), size, header, nests: false }
}

fn done(id: &str, result: impl Into<Value>) -> TaskMeta {
    TaskMeta::new(id, State::Success, result.into())
}

fn callback(parent: &str) -> Callback {
    let body = json!({ "task": "proj.tasks.xsum", "args": [], "kwargs": { "ü": [1.5, null, {}] }, "options": { "task_id": "the body" }, "subtask_type": null, "immutable": false });
    let root_id = Some("the root".to_owned());
    Callback { body, root_id, parent_id: Some(parent.to_owned()), priority: Some(3) }
}

fn counted(id: &str, state: State, result: impl Into<Value>) -> Counted {
    Counted { task_id: id.to_owned(), state, result: result.into() }
}

fn ids(parts: &[Counted]) -> Vec<&str> {
    parts.iter().map(|part| part.task_id.as_str()).collect()
}

/// Whoever counts the last part gets the join, with all that is to be sent.
pub async fn the_last_part_completes_a_join(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    chords.begin("group", &["a", "b", "c"]).await;
    assert_eq!(chords.count("group", 0, &done("a", json!({ "x": "ü" }))).await, None);
    assert_eq!(chords.count("group", 2, &done("c", Value::Null)).await, None);
    let joined = chords.count("group", 1, &done("b", json!([2, 3.0]))).await;
    let joined = joined.expect("all parts are there");
    assert_eq!(joined.group_id, "group");
    let parts = [
        counted("a", State::Success, json!({ "x": "ü" })),
        counted("b", State::Success, json!([2, 3.0])),
        counted("c", State::Success, Value::Null),
    ];
    assert_eq!(joined.parts, parts);
    assert_eq!(joined.callback, callback("b"));
    assert_eq!(joined.header, None);
}

/// Parts are in the order of their places, whenever they come; those without one come last.
pub async fn parts_are_in_the_order_of_their_places(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    let members: Vec<String> = (0..13).map(|index| format!("t{index}")).collect();
    chords.begin("group", &members.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(chords.count_at("group", None, &done("no place", 1)).await, None);
    for index in [11, 3, 0, 7, 10, 1, 2, 9, 8, 6, 5] {
        let meta = done(&members[usize::try_from(index).expect("it is none below 0")], index);
        assert_eq!(chords.count("group", index, &meta).await, None);
    }
    let joined = chords.count("group", 4, &done("t4", 4)).await.expect("all parts are there");
    let mut expected: Vec<&str> = members[..12].iter().map(String::as_str).collect();
    expected.push("no place");
    assert_eq!(ids(&joined.parts), expected);
}

/// A part that is delivered again is counted once, whatever it comes to then.
pub async fn a_part_that_comes_again_is_counted_once(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    chords.begin("group", &["a", "b"]).await;
    for result in [1, 1, 2] {
        assert_eq!(chords.count("group", 0, &done("a", result)).await, None);
    }
    let joined = chords.count("group", 1, &done("b", 3)).await.expect("both parts are there");
    let parts = [counted("a", State::Success, 1), counted("b", State::Success, 3)];
    assert_eq!(joined.parts, parts, "the first result counts");
}

/// One signature that was given its id and is in the header twice is two parts.
pub async fn one_task_at_two_places_is_two_parts(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    chords.begin("group", &["same", "same"]).await;
    assert_eq!(chords.count("group", 0, &done("same", 1)).await, None);
    let joined = chords.count("group", 1, &done("same", 1)).await.expect("both parts are there");
    assert_eq!(ids(&joined.parts), ["same", "same"]);
}

/// The result of a part is there for who waits for it, if its task keeps one; a success stays what it was.
pub async fn a_part_is_stored_when_it_is_counted(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    chords.begin("group", &["a", "b", "c"]).await;
    let waits = Arc::clone(&chords.0);
    let waited = tokio::spawn(async move { waits.wait("a").await });
    chords.count("group", 0, &done("a", 1)).await;
    let woken = within(LIMIT, "the result of a part", waited).await.expect("the wait ends");
    assert_eq!(woken.expect("a part can be waited for"), done("a", 1));
    chords.count("group", 0, &done("a", 2)).await;
    assert_eq!(chords.0.get("a").await.expect("it can be read"), Some(done("a", 1)));
    let (meta, callback) = (done("b", 2), callback("b"));
    let part =
        Part { group_id: "group", index: Some(1), meta: &meta, stores: false, callback: &callback };
    assert_eq!(chords.joins().count(part).await.expect("a part can be counted"), None);
    assert_eq!(chords.0.get("b").await.expect("it can be read"), None);
    let joined = chords.count("group", 2, &done("c", 3)).await.expect("all parts are there");
    assert_eq!(ids(&joined.parts), ["a", "b", "c"]);
    // It is stored also when the join is done.
    assert!(chords.finish(&joined).await);
    chords.count("group", 1, &done("b", 2)).await;
    assert_eq!(chords.0.get("b").await.expect("it can be read"), Some(done("b", 2)));
}

/// Parts that failed or were revoked count, and keep what they ended with.
pub async fn failures_are_parts_too(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    chords.begin("group", &["a", "b", "c"]).await;
    let error =
        json!({ "exc_type": "ValueError", "exc_message": ["bad"], "exc_module": "builtins" });
    let revoked = json!({ "exc_type": "TaskRevokedError", "exc_message": ["revoked"], "exc_module": "celery.exceptions" });
    chords.count("group", 2, &done("c", 1)).await;
    chords.count("group", 0, &TaskMeta::new("a", State::Failure, error.clone())).await;
    let last = TaskMeta::new("b", State::Revoked, revoked.clone());
    let joined = chords.count("group", 1, &last).await.expect("all parts are there");
    let parts = [
        counted("a", State::Failure, error),
        counted("b", State::Revoked, revoked),
        counted("c", State::Success, 1),
    ];
    assert_eq!(joined.parts, parts);
}

/// What a part adds to its chord is waited for too.
pub async fn a_part_may_be_expected_later(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    chords.begin("group", &["a", "b"]).await;
    chords.count("group", 0, &done("a", 1)).await;
    let more = chords.joins().expect_more("group");
    within(LIMIT, "to expect a part more", more).await.expect("more parts can be expected");
    assert_eq!(chords.count("group", 1, &done("b", 2)).await, None);
    let joined = chords.count_at("group", None, &done("later", 3)).await;
    assert_eq!(ids(&joined.expect("all parts are there").parts), ["a", "b", "later"]);
}

/// A client that says how many there are when some are done already: the join is completed all the same.
pub async fn parts_may_be_counted_before_the_join_begins(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    assert_eq!(chords.count("one", 0, &done("a", 1)).await, None);
    assert_eq!(chords.look("one").await.expect("it is known").tally.size, None);
    chords.begin("one", &["a", "b"]).await;
    let joined = chords.count("one", 1, &done("b", 2)).await.expect("both parts are there");
    assert_eq!(ids(&joined.parts), ["a", "b"]);

    assert_eq!(chords.count("all", 0, &done("c", 1)).await, None);
    chords.begin("all", &["c"]).await;
    let joined = chords.count("all", 0, &done("c", 1)).await.expect("the part is there");
    assert_eq!(ids(&joined.parts), ["c"]);
}

/// A header that holds groups is kept with their ids, so that their results can be made lists of.
pub async fn what_the_header_nests_is_kept(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    let nested = ResultTree::group("inner", vec![ResultTree::task("a"), ResultTree::task("b")]);
    let header = ResultTree::group("outer", vec![nested, ResultTree::task("c")]);
    let join =
        NewJoin { group_id: "outer".to_owned(), size: 3, header: header.clone(), nests: true };
    within(LIMIT, "to begin a join", chords.joins().begin(&[join])).await.expect("it can begin");
    chords.count("outer", 1, &done("a", 1)).await;
    chords.count("outer", 0, &done("b", 2)).await;
    let joined = chords.count("outer", 2, &done("c", 3)).await.expect("all parts are there");
    assert_eq!(joined.header, Some(header));
}

/// However many count at the same time, one of them is the last.
pub async fn a_join_of_thousand_parts_at_once_is_completed_once(backend: Arc<dyn Backend>) {
    const PARTS: i64 = 1000;
    let chords = Arc::new(Chords(backend));
    let members: Vec<String> = (0..PARTS).map(|index| format!("t{index}")).collect();
    chords.begin("group", &members.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut counting = JoinSet::new();
    for (index, id) in (0..PARTS).zip(members.clone()) {
        let chords = Arc::clone(&chords);
        counting.spawn(async move { chords.count("group", index, &done(&id, index)).await });
    }
    let all = within(LIMIT * 2, "to count the parts", counting.join_all()).await;
    let joined: Vec<Joined> = all.into_iter().flatten().collect();
    assert_eq!(joined.len(), 1, "one is the last");
    assert_eq!(ids(&joined[0].parts), members);
}

/// Nobody else gets a join at first. Then it goes to the next who asks for it, and to nobody beside that one.
pub async fn a_join_is_left_to_who_completes_it_and_then_goes_to_another(
    backend: Arc<dyn Backend>,
) {
    let chords = Chords(backend);
    let first = chords.complete("group").await;
    assert_eq!(chords.count("group", 0, &done("a", 1)).await, None);
    assert_eq!(chords.overdue().await, []);
    // A part is delivered again and again until then.
    let comes_again = async {
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(joined) = chords.count("group", 0, &done("a", 1)).await {
                return joined;
            }
        }
    };
    let second = within(LIMIT, "the join to be given to another", comes_again).await;
    assert_ne!(second.token, first.token);
    let as_first = Joined { token: first.token.clone(), ..second.clone() };
    assert_eq!(as_first, first, "it is the same that is to be sent");
    assert_eq!(chords.overdue().await, []);
    assert!(!chords.finish(&first).await, "it is the second's now");
    assert!(chords.finish(&second).await);
}

/// A join that was complete when its process died is overdue, and then somebody else's.
pub async fn a_join_that_nobody_finishes_is_overdue_with_all_that_is_needed(
    backend: Arc<dyn Backend>,
) {
    let chords = Chords(backend);
    chords.begin("incomplete", &["x", "y"]).await;
    chords.count("incomplete", 0, &done("x", 1)).await;
    let finished = chords.complete("finished").await;
    assert!(chords.finish(&finished).await);
    let first = chords.complete("group").await;
    let overdue = async {
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let overdue = chords.overdue().await;
            if !overdue.is_empty() {
                return overdue;
            }
        }
    };
    let overdue = within(LIMIT, "an overdue join", overdue).await;
    let [second] = overdue.as_slice() else { panic!("one is overdue: {overdue:?}") };
    assert_eq!(*second, Joined { token: second.token.clone(), ..first.clone() });
    assert_ne!(second.token, first.token);
    assert_eq!(chords.count("group", 1, &done("b", 2)).await, None, "it is claimed");
    assert!(chords.finish(second).await);
    assert_eq!(chords.look("group").await, None);
}

/// Nothing is counted of a join that is done, and nobody gets it again.
pub async fn a_finished_join_stays_finished(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    let joined = chords.complete("group").await;
    assert!(chords.finish(&joined).await);
    assert_eq!(chords.count("group", 0, &done("a", 1)).await, None);
    assert_eq!(chords.count("group", 1, &done("b", 2)).await, None);
    assert!(!chords.finish(&joined).await, "it was finished before");
    assert_eq!(chords.look("group").await, None);
    assert_eq!(chords.unfinished().await, []);
}

/// Of all who finish a join one ends it.
pub async fn a_join_is_finished_by_one(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    let joined = chords.complete("group").await;
    let stranger = Joined { token: "a stranger's".to_owned(), ..joined.clone() };
    assert!(!chords.finish(&stranger).await);
    assert!(chords.look("group").await.is_some(), "it is not the stranger's to finish");
    assert!(chords.finish(&joined).await);
}

/// A join whose signature is sent once more counts from the beginning.
pub async fn a_finished_join_begins_anew(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    let joined = chords.complete("group").await;
    assert!(chords.finish(&joined).await);
    let joined = chords.complete("group").await;
    assert_eq!(ids(&joined.parts), ["a", "b"]);
    // To begin again one that is not finished takes nothing from it.
    chords.begin("group", &["a", "b"]).await;
    assert_eq!(chords.look("group").await.map(|it| it.counted.len()), Some(2));
    assert!(chords.finish(&joined).await);
}

/// What was never heard of is not there.
pub async fn nothing_is_known_of_other_joins(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    assert_eq!(chords.look("nobody's").await, None);
    assert_eq!(chords.unfinished().await, []);
    assert_eq!(chords.overdue().await, []);
    within(LIMIT, "to begin none", chords.joins().begin(&[])).await.expect("none can be begun");
}

/// It can be seen which parts are there, and which are missing.
pub async fn an_unfinished_join_can_be_looked_at(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    chords.begin("group", &["a", "b", "c"]).await;
    chords.count("group", 2, &done("c", 3)).await;
    chords.count("group", 0, &done("a", 1)).await;
    let join = chords.look("group").await.expect("it is not finished");
    let counted = [counted("a", State::Success, 1), counted("c", State::Success, 3)];
    assert_eq!(join.counted, counted);
    assert_eq!(join.header, Some(new("group", &["a", "b", "c"]).header));
    assert_eq!(join.callback.map(|callback| callback.body), Some(callback("a").body));
    let Tally { group_id, size, counted, since, claimed } = join.tally.clone();
    assert_eq!((group_id.as_str(), size, counted, claimed), ("group", Some(3), 2, false));
    assert!(since.is_some());
    assert!(!join.tally.is_complete());
    chords.count("group", 1, &done("b", 2)).await;
    let tally = chords.look("group").await.expect("it is not finished").tally;
    assert!(tally.is_complete() && tally.claimed, "{tally:?}");
}

/// Those that are not finished are listed, each once.
pub async fn unfinished_joins_are_listed_the_oldest_first(backend: Arc<dyn Backend>) {
    let chords = Chords(backend);
    let both = [new("first", &["a", "b"]), new("second", &["a"])];
    within(LIMIT, "to begin two", chords.joins().begin(&both)).await.expect("two can be begun");
    let finished = chords.complete("finished").await;
    chords.finish(&finished).await;
    chords.count("first", 0, &done("a", 1)).await;
    chords.count("not begun", 0, &done("x", 1)).await;
    let listed = chords.unfinished().await;
    let ids: HashSet<&str> = listed.iter().map(|it| it.group_id.as_str()).collect();
    assert_eq!(ids, HashSet::from(["first", "second", "not begun"]));
    assert_eq!(listed.len(), 3);
    assert!(listed.is_sorted_by_key(|it| it.since), "{listed:?}");
    let first = listed.iter().find(|it| it.group_id == "first").expect("it is listed");
    assert_eq!((first.size, first.counted), (Some(2), 1));
}
