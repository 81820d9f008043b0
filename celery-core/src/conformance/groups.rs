//! What every result backend must do that keeps groups.

use std::sync::Arc;

use super::{LIMIT, within};
use crate::{
    backend::{Backend, Groups},
    tree::ResultTree,
};

/// Makes a test of each case of the suite for saved groups; see [`conformance`](crate::conformance). The backend must keep them.
#[macro_export]
macro_rules! groups_conformance {
    ($setup:expr) => {
        $crate::__conformance_cases! { groups, $setup,
            an_unknown_group_is_not_there
            what_was_saved_is_restored
            a_group_that_is_saved_again_is_replaced
            a_deleted_group_is_not_there
            groups_and_tasks_do_not_meet
            a_large_group_is_restored
        }
    };
}

fn groups(backend: &Arc<dyn Backend>) -> &dyn Groups {
    backend.groups().expect("the backend keeps groups")
}

async fn save(backend: &Arc<dyn Backend>, group: &ResultTree) {
    within(LIMIT, "to save a group", groups(backend).save(group))
        .await
        .expect("a group can be saved");
}

async fn restore(backend: &Arc<dyn Backend>, id: &str) -> Option<ResultTree> {
    within(LIMIT, "to restore a group", groups(backend).restore(id))
        .await
        .expect("it can be told whether a group was saved")
}

fn group(id: &str, members: impl IntoIterator<Item = &'static str>) -> ResultTree {
    ResultTree::group(id, members.into_iter().map(ResultTree::task).collect())
}

/// Nothing is there of a group that was not saved.
pub async fn an_unknown_group_is_not_there(backend: Arc<dyn Backend>) {
    assert_eq!(restore(&backend, "nobody's").await, None);
}

/// Members, groups among them, and parents survive, in their order.
pub async fn what_was_saved_is_restored(backend: Arc<dyn Backend>) {
    let nested = ResultTree::group(
        "outer",
        vec![
            ResultTree::task("b").after(ResultTree::task("a")),
            group("inner", ["c", "d"]),
            group("empty", []),
        ],
    )
    .after(ResultTree::task("before"));
    for tree in [group("plain", ["z", "a"]), nested, group("nothing", [])] {
        save(&backend, &tree).await;
        assert_eq!(restore(&backend, &tree.id).await, Some(tree));
    }
}

/// A group may be saved again, with other members.
pub async fn a_group_that_is_saved_again_is_replaced(backend: Arc<dyn Backend>) {
    for members in [["a", "b"], ["a", "b"], ["c", "d"]] {
        let tree = group("changing", members);
        save(&backend, &tree).await;
        assert_eq!(restore(&backend, "changing").await, Some(tree));
    }
}

/// What is deleted is gone, and what was not there may be deleted, too.
pub async fn a_deleted_group_is_not_there(backend: Arc<dyn Backend>) {
    let delete = || async {
        within(LIMIT, "to delete a group", groups(&backend).delete("gone"))
            .await
            .expect("a group can be deleted");
    };
    delete().await;
    save(&backend, &group("gone", ["a"])).await;
    save(&backend, &group("other", ["a"])).await;
    delete().await;
    assert_eq!(restore(&backend, "gone").await, None);
    assert_eq!(restore(&backend, "other").await, Some(group("other", ["a"])));
}

/// A task and a group may have one id.
pub async fn groups_and_tasks_do_not_meet(backend: Arc<dyn Backend>) {
    save(&backend, &group("both", ["a"])).await;
    assert_eq!(within(LIMIT, "to read a state", backend.get("both")).await.ok(), Some(None));
    within(LIMIT, "to forget", backend.forget("both")).await.expect("a task can be forgotten");
    assert_eq!(restore(&backend, "both").await, Some(group("both", ["a"])));
}

/// Ten thousand members.
pub async fn a_large_group_is_restored(backend: Arc<dyn Backend>) {
    let members = (0..10_000).map(|number| ResultTree::task(format!("task-{number}"))).collect();
    let tree = ResultTree::group("large", members);
    save(&backend, &tree).await;
    assert_eq!(restore(&backend, "large").await, Some(tree));
}
