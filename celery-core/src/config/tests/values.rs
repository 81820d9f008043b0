//! What values a setting takes, and how they are read.

use std::time::Duration;

use super::*;

#[test]
fn a_wrong_type_names_the_setting_what_was_expected_and_what_was_found() {
    let check = |name: &str, value: Value, expected: &str| {
        assert_eq!(complaint(name, &value), format!("`{name}` expects {expected}"));
    };
    check("task_acks_late", json!("true"), "true or false, but found the string \"true\"");
    check("task_acks_late", json!(1), "true or false, but found the number 1");
    check(
        "task_acks_late",
        json!(null),
        "true or false, but found null (leave the setting out to get its default)",
    );
    check("accept_content", json!("json"), "a list of strings, but found the string \"json\"");
    check(
        "task_time_limit",
        json!(-1),
        "a number of seconds that is not negative, but found the number -1",
    );
    check(
        "task_default_priority",
        json!(256),
        "a whole number from 0 to 255, but found the number 256",
    );
    check("redis_port", json!(65536), "a whole number from 0 to 65535, but found the number 65536");
    check(
        "task_queues",
        json!([{ "exchange": "x" }]),
        "a list of queues (each a name, or a dictionary \
        with a `name`), or a dictionary from name to options, but found a list",
    );
    check(
        "task_publish_retry_policy",
        json!({ "interval_step": "x" }),
        "`interval_step` to be a number of seconds that is not negative, but found a dictionary",
    );
}

#[test]
fn every_problem_is_reported_by_the_name_as_written() {
    let error = load_django(&json!({
        "CELERY_TASK_TIME_LIMT": 3,
        "CELERYD_CONCURRENCY": "many",
        "CELERY_TASK_ALWAYS_EAGER": true,
    }))
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(
            "the settings have 3 problems:\n- unknown setting `CELERY_TASK_TIME_LIMT`"
        ),
        "{text}"
    );
    assert!(
        text.contains("\n- `CELERY_TASK_ALWAYS_EAGER` cannot be set: this version does not run"),
        "{text}"
    );
    assert!(text.contains("\n- `CELERYD_CONCURRENCY` expects a whole number"), "{text}");
}

#[test]
fn zero_and_null_mean_no_limit_where_they_do_in_celery() {
    for none in [json!(0), json!(null)] {
        let config = load(&json!({
            "result_expires": none, "task_time_limit": none, "redis_max_connections": none,
            "broker_connection_max_retries": none, "worker_concurrency": none, "redis_socket_timeout": none,
        }))
        .unwrap();
        assert_eq!(config.result.expires, None);
        assert_eq!(config.task.time_limit, None);
        assert_eq!(config.redis.max_connections, None);
        assert_eq!(config.broker.connection_max_retries, None);
        assert_eq!(config.worker.concurrency, None);
        assert_eq!(config.redis.socket_timeout, None);
    }
}

#[test]
fn lifetimes_follow_result_expires_unless_they_are_set() {
    let results = Config::default().result;
    assert_eq!(results.failure_lifetime(), Some(Duration::from_secs(86_400)));
    let lifetime = |given: Value| {
        load(&one("result_failure_expires", &given)).unwrap().result.failure_lifetime()
    };
    assert_eq!(lifetime(json!(0)), None);
    assert_eq!(lifetime(json!(5)), Some(Duration::from_secs(5)));
}

#[test]
fn a_retry_policy_is_given_as_a_whole() {
    let default = Config::default().task.publish_retry_policy;
    assert_eq!(default.max_retries, Some(3));
    assert_eq!(default.interval_step, Duration::from_millis(200));
    let given =
        json!({ "task_publish_retry_policy": { "max_retries": null, "interval_start": 0.5 } });
    let policy = load(&given).unwrap().task.publish_retry_policy;
    assert_eq!(policy.max_retries, None);
    assert_eq!(policy.interval_start, Duration::from_millis(500));
    assert_eq!(policy.interval_step, Duration::from_secs(1));
}

#[test]
fn child_processes_are_for_those_who_name_them_and_the_pools_that_are_not_here_are_refused() {
    assert_eq!(load(&json!({})).unwrap().worker.pool, WorkerPool::Async);
    let pools = [
        ("prefork", WorkerPool::Prefork),
        ("async", WorkerPool::Async),
        ("threads", WorkerPool::Async),
        ("solo", WorkerPool::Solo),
    ];
    for (name, pool) in pools {
        assert_eq!(load(&json!({ "worker_pool": name })).unwrap().worker.pool, pool);
    }
    for name in ["gevent", "eventlet"] {
        let error = complaint("worker_pool", &json!(name));
        assert!(error.contains("there is no `gevent` or `eventlet` here"), "{error}");
    }
}

#[test]
fn delivery_modes_have_names() {
    let mode = |value: Value| {
        load(&one("task_default_delivery_mode", &value)).map(|c| c.task.default_delivery_mode)
    };
    assert_eq!(mode(json!("transient")), Ok(1));
    assert_eq!(mode(json!(2)), Ok(2));
    assert!(mode(json!(3)).is_err());
}

#[test]
fn the_one_connection_for_publishing_fits_every_limit_but_none() {
    assert_eq!(load(&json!({ "broker_pool_limit": 1 })).unwrap().broker.pool_limit, 1);
    for none in [json!(null), json!(0)] {
        let error = complaint("broker_pool_limit", &none);
        assert!(error.starts_with("`broker_pool_limit` expects a whole number from 1"), "{error}");
    }
}

/// The expected texts are what kombu makes of the same settings.
#[test]
fn pieces_complete_the_broker_url_as_in_kombu() {
    let check = |settings: Value, expected: &[&str]| {
        let urls = load(&settings).unwrap().broker.url;
        assert_eq!(urls.iter().map(ServerUrl::expose).collect::<Vec<_>>(), expected);
    };
    let pieces = json!({
        "broker_host": "h", "broker_port": 1234, "broker_user": "u", "broker_password": "p/w", "broker_vhost": "v",
    });
    check(pieces, &["amqp://u:p%2Fw@h:1234/v"]);
    let mixed = json!({
        "broker_url": "redis://:x@h", "broker_port": 1234, "broker_user": "u", "broker_password": "p/w",
        "broker_vhost": 3,
    });
    check(mixed, &["redis://u:x@h:1234/3"]);
    check(
        json!({ "broker_url": "redis://h:6379/0", "broker_port": 1234, "broker_user": "u", "broker_vhost": "3" }),
        &["redis://u@h:6379/0"],
    );
    check(json!({ "broker_host": "h", "broker_transport": "redis" }), &["redis://h"]);
    check(
        json!({ "broker_url": ["redis://a", "redis://[::1]"], "broker_port": 1 }),
        &["redis://a:1", "redis://[::1]:1"],
    );
    check(json!({ "broker_url": "sentinel://a:1;b:2/0" }), &["sentinel://a:1", "sentinel://b:2/0"]);
}

#[test]
fn a_url_is_not_needed_to_name_a_result_backend_and_a_python_class_is_none() {
    let backend = load(&json!({ "result_backend": "redis" })).unwrap().result.backend.unwrap();
    assert_eq!(backend.scheme(), "redis");
    let error = complaint("result_backend", &json!("proj.backends:Custom"));
    assert!(error.contains("Python classes cannot be used"), "{error}");
}

#[test]
fn a_path_that_is_no_text_can_be_shown() {
    let mut config = Config::default();
    let mut ssl = SslOptions::default();
    #[cfg(unix)]
    {
        let name =
            <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(vec![b'a', 0xff]);
        ssl.ca_certs = Some(name.into());
    }
    config.broker.use_ssl = Some(ssl);
    assert!(config.masked()["broker_use_ssl"].is_object());
}

#[test]
fn a_serializer_or_a_compression_that_there_is_not_is_refused_with_the_reason() {
    let check = |setting: &str, value: Value, expected: &[&str]| {
        let error = complaint(setting, &value);
        assert!(error.starts_with(&format!("`{setting}` expects")), "{error}");
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    };
    for setting in ["task_serializer", "result_serializer"] {
        check(setting, json!("pickle"), &["pickle", "msgpack"]);
        check(setting, json!("jsn"), &["jsn"]);
    }
    for setting in ["accept_content", "result_accept_content"] {
        check(setting, json!(["json", "pickle"]), &["pickle"]);
    }
    for setting in ["task_compression", "result_compression"] {
        check(setting, json!("brotli"), &["brotli"]);
        check(setting, json!("zip"), &["zip"]);
    }
}
