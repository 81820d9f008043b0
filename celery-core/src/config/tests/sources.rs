//! Which source and which name of a setting wins.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::*;

#[track_caller]
fn queue(loader: &ConfigLoader) -> String {
    loader.load().unwrap().task.default_queue
}

fn queue_source(name: &str) -> ConfigSource {
    ConfigSource::from_serializable(&json!({ "task_default_queue": name })).unwrap()
}

#[test]
fn changes_beat_sources_and_a_later_source_beats_an_earlier_one() {
    let loader = ConfigLoader::new();
    assert_eq!(queue(&loader), "celery");
    let loader = loader.source(queue_source("first")).source(queue_source("second"));
    assert_eq!(queue(&loader), "second");
    assert_eq!(queue(&loader.clone().change("task_default_queue", "changed")), "changed");
    assert_eq!(queue(&loader.change("CELERY_DEFAULT_QUEUE", "changed")), "changed");
}

#[test]
fn four_environment_variables_beat_everything() {
    let environment = pairs(&[
        ("CELERY_BROKER_URL", "redis://env"),
        ("CELERY_BROKER_READ_URL", "redis://env-read"),
        ("CELERY_BROKER_WRITE_URL", ""),
        ("CELERY_RESULT_BACKEND", "redis://env-results"),
        ("CELERY_TASK_DEFAULT_QUEUE", "not-one-of-the-four"),
    ]);
    let config = ConfigLoader::new()
        .source(
            ConfigSource::from_serializable(&json!({ "broker_write_url": "redis://file" }))
                .unwrap(),
        )
        .change("broker_url", "redis://changed")
        .change("result_backend", "redis://changed")
        .environment(environment)
        .load()
        .unwrap();
    assert_eq!(config.broker.url[0].expose(), "redis://env");
    assert_eq!(config.broker.read_urls()[0].expose(), "redis://env-read");
    assert_eq!(config.broker.write_urls()[0].expose(), "redis://file");
    assert_eq!(config.result.backend.unwrap().expose(), "redis://env-results");
    assert_eq!(config.task.default_queue, "celery");
}

#[test]
fn read_and_write_urls_fall_back_on_the_broker_url() {
    let config = load(&json!({ "broker_url": "redis://one;redis://two" })).unwrap();
    assert_eq!(config.broker.url.len(), 2);
    assert_eq!(config.broker.read_urls(), config.broker.url);
    assert_eq!(config.broker.write_urls(), config.broker.url);
    assert!(Config::default().broker.read_urls().is_empty());
}

#[test]
fn a_namespace_looks_for_the_prefixed_the_bare_and_the_old_name() {
    let config = load_django(&json!({
        "DEBUG": true,
        "DATABASES": { "default": {} },
        "CELERYD_CONCURRENCY": 3,
        "CELERY_ACKS_LATE": true,
        "CELERY_TASK_SERIALIZER": "yaml",
        "task_serializer": "msgpack",
        "result_serializer": "yaml",
    }))
    .unwrap();
    assert_eq!(config.worker.concurrency, Some(3));
    assert!(config.task.acks_late);
    assert_eq!(config.task.serializer, "yaml");
    assert_eq!(config.result.serializer, "yaml");
}

#[test]
fn the_prefixed_name_wins_even_if_its_value_is_null() {
    let config =
        load_django(&json!({ "CELERY_TASK_COMPRESSION": null, "task_compression": "gzip" }));
    assert_eq!(config.unwrap().task.compression, None);
}

#[test]
fn the_case_of_the_namespace_is_the_case_of_the_keys() {
    let settings = json!({ "celery_task_serializer": "yaml" });
    assert_eq!(load_django(&settings).unwrap().task.serializer, "json");
    for namespace in ["celery", "celery_"] {
        let source = ConfigSource::from_serializable(&settings).unwrap().namespace(namespace);
        let config = ConfigLoader::new().source(source).load().unwrap();
        assert_eq!(config.task.serializer, "yaml");
    }
}

#[test]
fn djangos_time_zone_is_the_fallback_of_timezone() {
    let name = |config: Config| config.timezone.unwrap().iana_name().unwrap().to_owned();
    let django = json!({ "TIME_ZONE": "Europe/Berlin" });
    assert_eq!(name(load_django(&django).unwrap()), "Europe/Berlin");
    assert_eq!(name(load(&django).unwrap()), "Europe/Berlin");
    let both = json!({ "TIME_ZONE": "Europe/Berlin", "CELERY_TIMEZONE": "Asia/Tokyo" });
    assert_eq!(name(load_django(&both).unwrap()), "Asia/Tokyo");
    let null = json!({ "TIME_ZONE": "Europe/Berlin", "CELERY_TIMEZONE": null });
    assert_eq!(name(load_django(&null).unwrap()), "Europe/Berlin");
    let error = load_django(&json!({ "TIME_ZONE": "Mars/Olympus" })).unwrap_err().to_string();
    assert!(error.starts_with("`TIME_ZONE` expects the IANA name of a time zone"), "{error}");
}

#[test]
fn old_and_new_names_do_not_mix_without_a_namespace() {
    let error =
        load(&json!({ "CELERY_TASK_SERIALIZER": "yaml", "broker_url": "redis://" })).unwrap_err();
    assert_eq!(
        error.to_string(),
        "improperly configured: a source cannot mix new and old setting names; most are new ones here, so rename\n  \
         CELERY_TASK_SERIALIZER               -> task_serializer"
    );
    let mostly_old =
        json!({ "CELERYD_CONCURRENCY": 3, "CELERY_ACKS_LATE": true, "broker_url": "redis://" });
    let error = load(&mostly_old).unwrap_err().to_string();
    assert!(error.contains("broker_url                           -> BROKER_URL"), "{error}");
    let both = load(&json!({ "CELERY_TASK_SERIALIZER": "yaml", "task_serializer": "msgpack" }));
    assert_eq!(both.unwrap().task.serializer, "msgpack");
}

#[test]
fn old_names_alone_work() {
    let config =
        load(&json!({ "CELERY_TASK_RESULT_EXPIRES": 60, "CELERYD_TASK_TIME_LIMIT": 5 })).unwrap();
    assert_eq!(config.result.expires, Some(Duration::from_secs(60)));
    assert_eq!(config.task.time_limit, Some(Duration::from_secs(5)));
}

#[test]
fn anything_that_serializes_to_a_map_is_a_source() {
    #[derive(Serialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    struct Settings {
        secret_key: &'static str,
        celery_task_time_limit: Duration,
        celery_accept_content: [&'static str; 2],
    }
    let settings = Settings {
        secret_key: "x",
        celery_task_time_limit: Duration::from_millis(1500),
        celery_accept_content: ["json", "yaml"],
    };
    let source = ConfigSource::from_serializable(&settings).unwrap().namespace("CELERY");
    let config = ConfigLoader::new().source(source).load().unwrap();
    assert_eq!(config.task.time_limit, Some(Duration::from_millis(1500)));
    assert_eq!(config.accept_content, ["json", "yaml"]);

    let error = ConfigSource::from_serializable(&[1, 2]).unwrap_err();
    assert_eq!(error.problems(), [Problem::NotAMap { found: "list" }]);
    let error = ConfigSource::from_serializable(&HashMap::from([((1, 2), 3)])).unwrap_err();
    assert_eq!(error.problems(), [Problem::NotSerializable]);
}

#[test]
fn toml_is_read_flat_and_by_groups() {
    let text = r"
        enable_utc = false
        task_track_started = true
        [task]
        time_limit = 30
        routes = { 'mail.*' = { queue = 'mail' } }
        [broker.transport_options]
        visibility_timeout = 60
        [result]
        backend_max_retries = inf
    ";
    let config = ConfigLoader::new().source(ConfigSource::from_toml(text).unwrap()).load().unwrap();
    assert!(!config.enable_utc && config.task.track_started);
    assert_eq!(config.task.time_limit, Some(Duration::from_secs(30)));
    assert_eq!(config.task.routes, Some(json!({ "mail.*": { "queue": "mail" } })));
    assert_eq!(config.broker.transport_options["visibility_timeout"], 60);
    assert_eq!(config.result.backend_max_retries, None);
}

#[test]
fn a_struct_with_a_table_of_the_namespaces_name_is_read_as_toml_is() {
    let settings = json!({ "CELERY_TASK_ACKS_LATE": true, "CELERY": { "TASK_TIME_LIMIT": 30, "TASK_TRACK_STARTD": 1 } });
    let source = ConfigSource::from_serializable(&settings).unwrap().namespace("CELERY");
    let error = ConfigLoader::new().source(source).load().unwrap_err().to_string();
    assert!(error.contains("`CELERY_TASK_TRACK_STARTD`"), "{error}");
    let settings = json!({ "CELERY_TASK_ACKS_LATE": true, "CELERY": { "TASK_TIME_LIMIT": 30 } });
    let source = ConfigSource::from_serializable(&settings).unwrap().namespace("CELERY");
    let config = ConfigLoader::new().source(source).load().unwrap();
    assert!(config.task.acks_late);
    assert_eq!(config.task.time_limit, Some(Duration::from_secs(30)));
}

#[test]
fn toml_in_a_namespace_leaves_other_tables_alone() {
    let text = r"
        CELERY_TASK_ACKS_LATE = true
        [database]
        url = 'postgres://'
        [CELERY]
        TASK_TIME_LIMIT = 30
        TASK_TRACK_STARTD = true
    ";
    let load = |text: &str| {
        ConfigLoader::new()
            .source(ConfigSource::from_toml(text).unwrap().namespace("CELERY"))
            .load()
    };
    let error = load(text).unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown setting `CELERY_TASK_TRACK_STARTD`, did you mean `CELERY_TASK_TRACK_STARTED`?"
    );
    let config = load(&text.replace("STARTD", "STARTED")).unwrap();
    assert!(config.task.acks_late && config.task.track_started);
    assert_eq!(config.task.time_limit, Some(Duration::from_secs(30)));
}

#[test]
fn the_environment_is_read_by_the_type_of_each_setting() {
    let source = ConfigSource::from_env(
        "CELERY",
        pairs(&[
            ("CELERY_TASK_ACKS_LATE", "yes"),
            ("CELERY_WORKER_CONCURRENCY", "3"),
            ("CELERY_TASK_TIME_LIMIT", "1.5"),
            ("CELERY_ACCEPT_CONTENT", "json, yaml"),
            ("CELERY_RESULT_ACCEPT_CONTENT", r#"["json"]"#),
            ("CELERY_BROKER_TRANSPORT_OPTIONS", r#"{"sep": ":"}"#),
            ("CELERY_BROKER_USE_SSL", "on"),
            ("CELERY_RESULT_BACKEND_MAX_RETRIES", "inf"),
            ("CELERY_BROKER_CONNECTION_MAX_RETRIES", "null"),
            ("CELERY_TASK_DEFAULT_QUEUE", ""),
            ("CELERY_TASK_DEFAULT_EXCHANGE", "10"),
            ("CELERYD_PREFETCH_MULTIPLIER", "1"),
            ("PATH", "/bin"),
        ]),
    );
    let config = ConfigLoader::new().source(source).load().unwrap();
    assert!(config.task.acks_late);
    assert_eq!(config.worker.concurrency, Some(3));
    assert_eq!(config.task.time_limit, Some(Duration::from_millis(1500)));
    assert_eq!(config.accept_content, ["json", "yaml"]);
    assert_eq!(config.result_content(), ["json"]);
    assert_eq!(config.broker.transport_options["sep"], ":");
    assert_eq!(config.broker.use_ssl, Some(SslOptions::default()));
    assert_eq!(config.result.backend_max_retries, None);
    assert_eq!(config.broker.connection_max_retries, None);
    assert_eq!(config.task.default_exchange(), "10");
    assert_eq!(config.task.default_routing_key(), "celery");
    assert_eq!(config.worker.prefetch_multiplier, 4, "only the namespace is read");
}

#[test]
fn variables_with_another_meaning_are_left_alone_and_misspelt_ones_are_not() {
    let harmless = [
        ("CELERY_APP", "proj"),
        ("CELERY_WORKER_LOGLEVEL", "INFO"),
        ("CELERY_WORKER_TIME_LIMIT", "3"),
        ("CELERY_BEAT_SCHEDULE", "/var/run/schedule"),
        ("CELERY_WORKER_REVOKES_MAX", "10"),
    ];
    let load = |variables: &[(&str, &str)]| {
        ConfigLoader::new().source(ConfigSource::from_env("CELERY", pairs(variables))).load()
    };
    assert_eq!(load(&harmless), Ok(Config::default()));
    let error = load(&[("CELERY_WORKER_CONCURENCY", "3")]).unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown setting `CELERY_WORKER_CONCURENCY`, did you mean `CELERY_WORKER_CONCURRENCY`?"
    );
    let error = load(&[("CELERY_WORKER_CONCURRENCY", "many")]).unwrap_err().to_string();
    assert_eq!(
        error,
        "`CELERY_WORKER_CONCURRENCY` expects a whole number that is not negative, but found the string \"many\""
    );
}

#[test]
fn the_environment_is_not_read_without_a_namespace() {
    let source = ConfigSource::from_env("", pairs(&[("_", "/bin/sh"), ("_X", "1"), ("HOME", "/")]));
    assert_eq!(ConfigLoader::new().source(source).load(), Ok(Config::default()));
}
