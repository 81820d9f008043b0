//! No password is ever shown.

use super::*;

const SECRET: &str = "hunter2";

fn secrets() -> Value {
    json!({
        "broker_url": format!("redis://user:{SECRET}@one/0;redis://:{SECRET}@two/0"),
        "broker_read_url": [format!("redis://:{SECRET}@three/0")],
        "broker_password": SECRET,
        "result_backend": format!("redis://four/0?password={SECRET}"),
        "redis_password": SECRET,
        "broker_transport_options": { "sentinel_kwargs": { "password": SECRET }, "visibility_timeout": 5 },
        "result_backend_transport_options": { "urls": [format!("redis://:{SECRET}@five")] },
    })
}

#[test]
fn a_configuration_is_shown_without_passwords() {
    let config = load(&secrets()).unwrap();
    for shown in [
        format!("{config:?}"),
        format!("{config:#?}"),
        Value::Object(config.masked()).to_string(),
        serde_json::to_string(&config).unwrap(),
        config.broker.url[0].to_string(),
    ] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    assert!(config.broker.url[0].expose().contains(SECRET));
    assert_eq!(config.redis.password.unwrap().expose(), SECRET);
    assert_eq!(config.broker.transport_options["sentinel_kwargs"]["password"], SECRET);
}

#[test]
fn sources_and_loaders_are_shown_without_values() {
    let source = ConfigSource::from_serializable(&secrets()).unwrap();
    let loader = ConfigLoader::new()
        .source(source.clone())
        .change("redis_password", SECRET)
        .environment(pairs(&[("CELERY_BROKER_URL", SECRET)]));
    for shown in [format!("{source:?}"), format!("{loader:?}")] {
        assert!(shown.contains("redis_password") && !shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn complaints_do_not_quote_what_may_be_secret() {
    let with_url = format!("//:{SECRET}@host");
    for (name, value) in [
        ("broker_url", json!(with_url)),
        ("result_backend", json!(with_url)),
        ("broker_transport_options", json!(SECRET)),
        ("broker_use_ssl", json!(SECRET)),
        ("redis_password", json!([SECRET])),
        ("security_key_password", json!(SECRET)),
        ("database_url", json!(with_url)),
        ("unknown_thing", json!(SECRET)),
    ] {
        let error = load(&one(name, &value)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
    }
}

#[test]
fn a_broken_file_is_reported_by_its_line_alone() {
    for text in [
        "a = 1\nredis_password = hunter2\n",
        "\nredis_password = \"hunter2\n",
        "\n\"hunter2\" = 1 hunter2",
    ] {
        let error = ConfigSource::from_toml(text).unwrap_err();
        assert!(error.to_string().starts_with("line "), "{error}");
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
    }
    let error = ConfigSource::from_toml("a = 1\nb = = 2\n").unwrap_err().to_string();
    assert!(error.starts_with("line 2 of the settings file is no valid TOML"), "{error}");
}

#[test]
fn the_masked_settings_follow_celerys_rules() {
    let settings = load(&secrets()).unwrap().masked();
    assert_eq!(settings["broker_url"], "redis://user:**@one/0;redis://:**@two/0");
    assert_eq!(settings["result_backend"], "redis://four/0?password=**");
    assert_eq!(settings["redis_password"], "********");
    assert_eq!(settings["task_default_routing_key"], "********");
    assert_eq!(settings["result_expires"], 86_400.0);
    assert_eq!(settings["result_backend_max_sleep_between_retries_ms"], 10_000);
    let options = json!({ "sentinel_kwargs": { "password": "********" }, "visibility_timeout": 5 });
    assert_eq!(settings["broker_transport_options"], options);
}

#[test]
fn the_changes_are_what_has_not_its_default() {
    let changes = load(&json!({ "task_acks_late": true, "timezone": "Asia/Tokyo" }))
        .unwrap()
        .masked_changes();
    assert_eq!(Value::Object(changes), json!({ "timezone": "Asia/Tokyo", "task_acks_late": true }));
}
