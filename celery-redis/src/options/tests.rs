use celery_core::config::ConfigLoader;
use serde_json::json;

mod guide;

use super::*;

fn read(options: Value) -> Result<BrokerOptions, BadOption> {
    let config = ConfigLoader::new().change("broker_transport_options", options).load().unwrap();
    BrokerOptions::read(&config, &Map::new(), 0)
}

#[track_caller]
fn refused(options: Value) -> String {
    read(options).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_kombus_but_for_the_order_of_queues() {
    let options = read(json!({})).unwrap();
    assert_eq!(options.visibility_timeout, Duration::from_secs(3600));
    assert_eq!(options.worker_timeout, 30);
    assert_eq!(options.keys.steps, [0, 3, 6, 9]);
    assert_eq!(options.keys.fanout_prefix, "/0.");
    assert_eq!(options.order, QueueOrder::Priority);
    assert_eq!(options.registry, Registry::Pending);
}

#[test]
fn a_misspelt_option_is_refused_with_the_right_name() {
    let message = refused(json!({ "visibilty_timeout": 10 }));
    assert_eq!(
        message,
        "`visibilty_timeout` in broker_transport_options: there is no such option; did you mean `visibility_timeout`?"
    );
    assert!(refused(json!({ "xyz": 1 })).ends_with("there is no such option; remove it"));
}

#[test]
fn what_cannot_be_done_is_refused_with_a_remedy() {
    assert!(refused(json!({ "ack_emulation": false })).contains("remove it"));
    assert!(refused(json!({ "sentinel_fanout_compat": true })).contains("kombu before 5.4"));
    let kwargs = |given: Value| refused(json!({ "sentinel_kwargs": given }));
    assert!(kwargs(json!({ "retry": 1 })).contains("there is no option `retry`"));
    assert!(kwargs(json!({ "ssl_cert_reqs": "none" })).contains("`ssl: true`"));
    assert!(kwargs(json!({ "ssl": "yes" })).contains("true or false"));
    assert!(refused(json!({ "fanout_prefix": "mine" })).contains("`/mine.`"));
    assert!(refused(json!({ "priority_steps": [0, 12] })).contains("from 0 to 9"));
    assert!(refused(json!({ "delivery_registry": "kombu" })).contains("`pending` or `unacked`"));
    assert!(refused(json!({ "queue_order_strategy": "random" })).contains("round_robin"));
    assert!(refused(json!({ "visibility_timeout": "an hour" })).contains("a number of seconds"));
    assert!(refused(json!({ "worker_timeout": 2 })).contains("3 or more"));
}

#[test]
fn what_only_python_needs_is_let_pass() {
    read(json!({ "polling_interval": 0.5, "unacked_mutex_expire": 100, "master_name": null }))
        .unwrap();
}

#[test]
fn every_fanout_prefix_is_read_as_kombu_reads_it() {
    let prefix = |value: Value| read(json!({ "fanout_prefix": value })).unwrap().keys.fanout_prefix;
    assert_eq!(prefix(json!(true)), "/0.");
    assert_eq!(prefix(json!(false)), "");
    assert_eq!(prefix(json!("/mine.")), "/mine.");
    assert_eq!(prefix(json!("/m{db}.")), "/m0.");
}

#[test]
fn a_null_body_encoding_is_text_and_none_at_all_is_base64() {
    assert_eq!(read(json!({ "body_encoding": null })).unwrap().body_encoding, BodyEncoding::Utf8);
    assert_eq!(read(json!({})).unwrap().body_encoding, BodyEncoding::Base64);
}

#[test]
fn a_backend_prefix_gets_an_underscore_unless_it_ends_in_punctuation() {
    let prefix = |prefix: &str| {
        let options = json!({ "global_keyprefix": prefix });
        let config =
            ConfigLoader::new().change("result_backend_transport_options", options).load().unwrap();
        BackendOptions::read(&config, &Map::new()).unwrap().prefix
    };
    assert_eq!(["res", "res:", "res-", ""].map(prefix), ["res_", "res:", "res-", ""]);
}

#[test]
fn the_backend_takes_the_redis_settings() {
    let loader = ConfigLoader::new()
        .change("redis_socket_timeout", 7)
        .change("redis_client_name", "results");
    let options = BackendOptions::read(&loader.load().unwrap(), &Map::new()).unwrap();
    assert_eq!(options.link.response_timeout, Duration::from_secs(7));
    assert_eq!(options.link.client_name.as_deref(), Some("results"));
}

#[test]
fn the_two_connections_of_the_backend_fit_every_limit_but_one() {
    let read = |most: Value| {
        let config = ConfigLoader::new().change("redis_max_connections", most).load().unwrap();
        BackendOptions::read(&config, &Map::new())
    };
    assert!(read(json!(2)).is_ok());
    assert!(read(json!(0)).is_ok());
    assert!(read(json!(1)).unwrap_err().to_string().contains("2 or more"));
    let query = Map::from_iter([("max_connections".to_owned(), json!(1))]);
    let error = BackendOptions::read(&ConfigLoader::new().load().unwrap(), &query).unwrap_err();
    assert!(error.to_string().contains("2 or more"));
}

#[test]
fn what_is_said_of_sentinels_is_read_and_its_password_not_shown() {
    let options = read(json!({
        "master_name": "mymaster",
        "min_other_sentinels": 2,
        "sentinel_kwargs": {
            "password": "hunter2",
            "ssl": true,
            "ssl_cert_reqs": "none",
            "socket_timeout": 0.5,
        },
    }))
    .unwrap();
    let sentinel = &options.link.sentinel;
    assert_eq!(sentinel.master_name.as_deref(), Some("mymaster"));
    assert_eq!(sentinel.min_other_sentinels, 2);
    assert_eq!(sentinel.timeout, Some(Duration::from_millis(500)));
    assert_eq!(sentinel.ssl.as_ref().unwrap().cert_reqs, celery_core::config::CertReqs::None);
    assert!(!format!("{options:?}").contains("hunter2"));
}
