//! The table against Celery's own list of settings, and what happens to other names.

use serde::Deserialize;

use super::super::settings::{self, Status};
use super::*;

/// One option of Celery 5.7.0, as `celery.app.defaults` declares it. An infinite number is the text `inf`.
#[derive(Deserialize)]
struct Declared {
    name: String,
    old: String,
    default: Value,
}

fn declared() -> Vec<Declared> {
    serde_json::from_str(include_str!("../../../tests/fixtures/settings.json")).unwrap()
}

#[test]
fn every_setting_of_celery_is_known_by_both_names_and_with_its_default() {
    let declared = declared();
    assert_eq!(declared.len(), 207);
    for Declared { name, old, default } in declared {
        let setting = settings::find(&name).unwrap_or_else(|| panic!("{name} is not known"));
        assert_eq!(setting.old_name().as_deref(), Some(&*old), "old name of {name}");
        let ours = setting.default_value();
        let same = match (ours.as_f64(), default.as_f64()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => ours == default,
        };
        assert!(same, "default of {name}: {ours} is not {default}");
    }
}

#[test]
fn no_setting_is_listed_twice() {
    let mut names: Vec<_> = settings::all().map(|setting| setting.name).collect();
    let (undeclared, ours) = (6, 1);
    assert_eq!(names.len(), 207 + undeclared + ours);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 207 + undeclared + ours);
}

#[test]
fn all_of_celerys_defaults_may_be_written_out() {
    // The pool that is Celery's default is ours only where it is written out.
    let mut expected = Config::default();
    expected.worker.pool = WorkerPool::Prefork;
    let all = declared().into_iter().map(|setting| (setting.name, setting.default));
    assert_eq!(load(&Value::Object(all.collect())).as_ref(), Ok(&expected));
    let old = declared().into_iter().map(|setting| (setting.old, setting.default));
    assert_eq!(load(&Value::Object(old.collect())), Ok(expected));
}

#[test]
fn every_used_setting_is_read_and_its_type_is_checked() {
    for setting in settings::all().filter(|setting| matches!(setting.status, Status::Used(_))) {
        let error = load(&one(setting.name, &json!(-7.5))).unwrap_err();
        assert!(
            matches!(error.problems(), [Problem::WrongValue { setting: name, .. }] if name == setting.name),
            "{}: {error}",
            setting.name
        );
    }
}

#[test]
fn every_refused_setting_says_why() {
    for setting in settings::all() {
        let Status::Refused { why, also } = setting.status else { continue };
        let error = load(&one(setting.name, &json!("no such value"))).unwrap_err();
        let refused = Problem::Refused { setting: setting.name.to_owned(), why: why.to_owned() };
        assert_eq!(error.problems(), [refused]);
        for value in also {
            let value = serde_json::from_str(value).unwrap();
            assert_eq!(load(&one(setting.name, &value)), Ok(Config::default()), "{}", setting.name);
        }
    }
}

#[test]
fn every_used_setting_has_a_field_of_its_name_except_the_pieces_of_urls() {
    let shown = Config::default().masked();
    for setting in settings::all() {
        let is_used = matches!(setting.status, Status::Used(_));
        let is_piece =
            ["broker_host", "broker_port", "broker_user", "broker_password", "broker_vhost"]
                .contains(&setting.name)
                || setting.name == "broker_transport";
        assert_eq!(shown.contains_key(setting.name), is_used && !is_piece, "{}", setting.name);
    }
}

#[track_caller]
fn check_hint(error: &ConfigError, expected: &str) {
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_misspelt_setting_gets_a_hint() {
    let hint = "unknown setting `task_time_limt`, did you mean `task_time_limit`?";
    check_hint(&load(&json!({ "task_time_limt": 30 })).unwrap_err(), hint);
    let hint = "unknown setting `CELERY_TASK_SERIALISER`, did you mean `CELERY_TASK_SERIALIZER`?";
    check_hint(&load_django(&json!({ "CELERY_TASK_SERIALISER": "json" })).unwrap_err(), hint);
    let hint = "unknown setting `acks_late`, did you mean `task_acks_late`?";
    check_hint(&load(&json!({ "acks_late": true })).unwrap_err(), hint);
    check_hint(&load(&json!({ "frobnicate": 1 })).unwrap_err(), "unknown setting `frobnicate`");
}

#[test]
fn a_prefixed_key_without_a_namespace_says_what_is_missing() {
    let hint = "unknown setting `CELERY_TASK_TIME_LIMIT`: give the namespace \"CELERY\", or write `task_time_limit`";
    check_hint(&load(&json!({ "CELERY_TASK_TIME_LIMIT": 30 })).unwrap_err(), hint);
    let error = load(&json!({ "DEBUG": true })).unwrap_err().to_string();
    assert!(error.contains("give a namespace such as \"CELERY\""), "{error}");
}

#[test]
fn a_change_of_a_misspelt_setting_is_an_error_too() {
    let error = ConfigLoader::new().change("task_acks_lat", true).load().unwrap_err();
    check_hint(&error, "unknown setting `task_acks_lat`, did you mean `task_acks_late`?");
}
