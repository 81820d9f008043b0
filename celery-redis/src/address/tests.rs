use celery_core::config::ConfigLoader;

use serde_json::json;

use super::*;

fn config() -> Config {
    ConfigLoader::new().load().unwrap()
}

fn broker(url: &str) -> Result<Address, BadOption> {
    Address::read(&ServerUrl::parse(url).unwrap(), Role::Broker, &config())
}

fn backend(url: &str, loader: &ConfigLoader) -> Result<Address, BadOption> {
    Address::read(&ServerUrl::parse(url).unwrap(), Role::Backend, &loader.load().unwrap())
}

fn list(urls: &[&str]) -> Result<Addresses, BadOption> {
    let urls: Vec<_> = urls.iter().map(|url| ServerUrl::parse(url).unwrap()).collect();
    Addresses::broker(&urls, &config())
}

#[track_caller]
fn check(url: &str, addr: &str, db: i64) -> Address {
    let address = broker(url).unwrap();
    assert_eq!(address.server.info.addr().to_string(), addr, "{url}");
    assert_eq!(address.db, db, "{url}");
    assert_eq!(address.server.info.redis_settings().db(), db);
    address
}

#[test]
fn every_form_of_url_is_read() {
    check("redis://", "127.0.0.1:6379", 0);
    check("redis://localhost", "localhost:6379", 0);
    check("redis://:6380/2", "127.0.0.1:6380", 2);
    check("redis://h:1/3?socket_timeout=5", "h:1", 3);
    check("redis://h/?virtual_host=4", "h:6379", 4);
    check("redis+socket:///run/redis.sock?virtual_host=5", "/run/redis.sock", 5);
    check("redis://[::1]:7000/0", "::1:7000", 0);
}

#[test]
fn user_and_password_are_decoded_and_never_shown() {
    let address = check("redis://us%40er:p%2Fw@h/0", "h:6379", 0);
    assert_eq!(address.server.info.redis_settings().username(), Some("us@er"));
    assert_eq!(address.server.info.redis_settings().password(), Some("p/w"));
    assert!(!address.server.shown.contains("p%2Fw"), "{}", address.server.shown);
    let address = check("redis://:secret@:6390/0", "127.0.0.1:6390", 0);
    assert_eq!(address.server.info.redis_settings().password(), Some("secret"));
}

#[test]
fn a_database_that_is_no_number_is_refused() {
    let Err(error) = broker("redis://:secret@h/zero") else { panic!("accepted") };
    assert!(error.to_string().contains("not `zero`"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_broker_without_cert_reqs_is_not_verified_and_a_backend_is_refused() {
    let address = broker("rediss://h/0").unwrap();
    assert!(matches!(address.server.info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }));
    let Err(error) = backend("rediss://h/0", &ConfigLoader::new()) else { panic!("accepted") };
    assert!(error.to_string().contains("ssl_cert_reqs=required"), "{error}");
    let address =
        backend("rediss://h/0?ssl_cert_reqs=CERT_REQUIRED", &ConfigLoader::new()).unwrap();
    assert!(matches!(address.server.info.addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
}

#[test]
fn settings_turn_tls_on_for_a_plain_url_and_the_query_may_not() {
    let loader =
        ConfigLoader::new().change("redis_backend_use_ssl", json!({ "ssl_cert_reqs": "none" }));
    let address = backend("redis://h/0", &loader).unwrap();
    assert!(matches!(address.server.info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }));
    assert!(backend("redis://h/0?ssl_cert_reqs=none", &ConfigLoader::new()).is_err());
}

#[test]
fn settings_stand_in_for_what_the_backend_url_leaves_out() {
    let loader = || {
        ConfigLoader::new()
            .change("redis_host", "there")
            .change("redis_port", 7001)
            .change("redis_db", 3)
            .change("redis_username", "me")
            .change("redis_password", "pw")
    };
    let address = backend("redis://", &loader()).unwrap();
    assert_eq!(address.server.info.addr().to_string(), "there:7001");
    assert_eq!((address.db, address.server.info.redis_settings().username()), (3, Some("me")));
    let address = backend("redis://you:other@here:1/2", &loader()).unwrap();
    assert_eq!(address.server.info.addr().to_string(), "here:1");
    assert_eq!((address.db, address.server.info.redis_settings().password()), (2, Some("other")));
}

#[test]
fn a_list_has_one_database_and_one_word_for_each_option() {
    let addresses = list(&["redis://a/2?socket_timeout=5", "redis://b:1/2?client_name=x"]).unwrap();
    assert_eq!((addresses.servers.len(), addresses.db), (2, 2));
    assert_eq!(addresses.query["socket_timeout"], 5);
    assert_eq!(addresses.query["client_name"], "x");
    assert_eq!(addresses.shown(), "redis://a/2?socket_timeout=5;redis://b:1/2?client_name=x");
    for (urls, says) in [
        (["redis://a/1", "redis://b"], "name the same one"),
        (["redis://a?socket_timeout=5", "redis://b?socket_timeout=6"], "say it once"),
        (["redis://a", "sentinel://b"], "either sentinels or servers"),
    ] {
        let Err(error) = list(&urls) else { panic!("accepted {urls:?}") };
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_sentinel_has_its_own_port_and_is_told_of_tls_by_the_settings() {
    let addresses = list(&["sentinel://a", "sentinel://b:1/0"]).unwrap();
    assert!(addresses.are_sentinels);
    let shown: Vec<_> =
        addresses.servers.iter().map(|server| server.info.addr().to_string()).collect();
    assert_eq!(shown, ["a:26379", "b:1"]);
    let Err(error) = list(&["sentinel://a?ssl_cert_reqs=none"]) else { panic!("accepted") };
    assert!(error.to_string().contains("`broker_use_ssl`"), "{error}");
}

#[test]
fn the_backend_takes_a_list_apart() {
    let url = ServerUrl::parse("sentinel://:pw@a:1;sentinel://b:2").unwrap();
    let addresses = Addresses::backend(&url, &config()).unwrap();
    assert_eq!(addresses.servers.len(), 2);
    assert!(!addresses.shown().contains("pw"));
}

#[test]
fn another_place_is_reached_in_the_same_way() {
    let address = broker("rediss://us:pw@h:1/3?ssl_cert_reqs=none").unwrap();
    let other = at::another(&address.server, "10.0.0.1", 7000);
    assert!(matches!(
        other.info.addr(),
        ConnectionAddr::TcpTls { host, port: 7000, insecure: true, .. } if host == "10.0.0.1"
    ));
    assert_eq!(other.info.redis_settings().password(), Some("pw"));
    assert_eq!(other.info.redis_settings().db(), 3);
    assert_eq!(at::place(&other.info), ("10.0.0.1".to_owned(), 7000));
}
