//! What users see of their mistakes: one file a rule in `tests/ui`, named for it.
//!
//! `TRYBUILD=overwrite cargo test --test it ui` renews the expected messages.

#[test]
fn mistakes_are_reported_where_they_are_with_the_remedy() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
