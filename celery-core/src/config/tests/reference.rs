//! The guide's tables are the program's.

use std::path::Path;

use super::*;

const BEGIN: &str = "<!-- begin: settings_reference -->\n";
const END: &str = "<!-- end: settings_reference -->\n";

/// With the variable `UPDATE_DOCS` set, the test writes the tables instead of comparing them.
#[test]
fn the_guide_has_the_tables_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = guide.split_once(BEGIN).expect("docs/settings.md has a begin mark");
    let (tables, tail) = rest.split_once(END).expect("docs/settings.md has an end mark");
    let expected = format!("\n{}\n", settings_reference());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{expected}{END}{tail}")).unwrap();
    } else {
        assert!(
            tables == expected,
            "docs/settings.md is stale: run this test once with UPDATE_DOCS=1"
        );
    }
}
