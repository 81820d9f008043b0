//! Whatever is given, reading it ends with a configuration or with an error.

use proptest::prelude::*;

use super::super::settings;
use super::*;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "[a-z:/@;?#=&%\\[\\]é]{0,24}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{0,10}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    let names: Vec<String> = settings::all()
        .flat_map(|setting| {
            let prefixed = format!("CELERY_{}", setting.name.to_uppercase());
            [setting.name.to_owned(), prefixed]
                .into_iter()
                .chain(setting.old_name().map(Into::into))
        })
        .chain(["TIME_ZONE".to_owned(), String::new()])
        .collect();
    prop_oneof![4 => prop::sample::select(names), 1 => "[a-zA-Z_é]{0,16}"]
}

fn any_map() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((any_key(), any_value()), 0..8)
        .prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #[test]
    fn no_map_of_settings_makes_reading_panic(settings in any_map(), changes in any_map(), namespace in "(CELERY|celery|_|é)?") {
        let source = ConfigSource::from_serializable(&settings).unwrap().namespace(&namespace);
        let mut loader = ConfigLoader::new().source(source);
        for (name, value) in changes {
            loader = loader.change(name, value);
        }
        match loader.load() {
            Ok(config) => prop_assert!(!config.masked().is_empty()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn no_text_makes_reading_panic(text in "[ -~\n]{0,40}", variable in any_key(), url in "[ -~é]{0,40}") {
        if let Ok(source) = ConfigSource::from_toml(&text) {
            let _ = ConfigLoader::new().source(source.clone()).load();
            let _ = ConfigLoader::new().source(source.namespace("CELERY")).load();
        }
        let source = ConfigSource::from_env("CELERY", [(variable, text)]);
        let _ = ConfigLoader::new().source(source).environment(pairs(&[("CELERY_BROKER_URL", &url)])).load();
    }

    #[test]
    fn no_password_in_a_url_is_shown(password in "[A-Z/@;?#%:&]{3,12}", tail in "(/0)?") {
        // A `;` in front of a scheme begins the next URL of a list, for kombu too.
        prop_assume!(!password.contains("://"));
        let text = format!("redis://user:{password}@host{tail}");
        let shown = format!("{:?}", ServerUrl::parse(&text).unwrap());
        prop_assert!(!shown.contains(|c: char| c.is_ascii_uppercase() && c != 'S' && c != 'U'), "{shown}");
    }
}
