//! Tests of which queues an exchange picks.

use proptest::prelude::*;

use super::ExchangeKind;

#[track_caller]
fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    for key in matching {
        assert!(ExchangeKind::Topic.routes(pattern, key), "`{pattern}` should match `{key}`");
    }
    for key in others {
        assert!(!ExchangeKind::Topic.routes(pattern, key), "`{pattern}` should not match `{key}`");
    }
}

#[test]
fn a_pattern_matches_word_by_word() {
    check("a.b", &["a.b"], &["a", "a.b.c", "a.bb", "a*b", ""]);
    check("*", &["a", ""], &["a.b"]);
    check("a.*.c", &["a.b.c"], &["a.c", "a.b.b.c"]);
    check("#", &["", "a", "a.b.c"], &[]);
    check("a.#", &["a", "a.b", "a.b.c"], &["b", "ab.c"]);
    check("#.c", &["c", "a.c", "a.b.c"], &["c.a", "ac"]);
    check("a.#.c.#", &["a.c", "a.b.c", "a.c.c.d"], &["a", "a.b"]);
    check("#.*", &["a", "a.b"], &[]);
    check("a.b.+", &["a.b.+"], &["a.b.b"]);
}

#[test]
fn a_pattern_of_many_hashes_takes_no_longer_than_others() {
    let pattern = vec!["#.a"; 200].join(".");
    let key = vec!["a"; 199].join(".");
    check(&pattern, &[], &[&key]);
}

proptest! {
    #[test]
    fn a_key_matches_itself_and_a_star_for_each_word(key in "[a-z]{1,3}(\\.[a-z]{1,3}){0,5}") {
        let stars = vec!["*"; key.split('.').count()].join(".");
        for pattern in [&key, &stars, &format!("#.{key}"), &format!("{key}.#")] {
            prop_assert!(ExchangeKind::Topic.routes(pattern, &key));
        }
        let too_many = format!("*.{stars}");
        prop_assert!(!ExchangeKind::Topic.routes(&too_many, &key));
    }
}
