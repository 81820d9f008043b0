//! The guide's table of options, held against what becomes of them.

use std::collections::BTreeSet;

use celery_core::config::ConfigLoader;
use serde_json::{Map, json};

use super::{
    super::{BackendOptions, BadOption, REFUSED, WITHOUT_MEANING},
    read,
};

/// The names of the options in the guide's table, each with what it says of it.
fn rows() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../../docs/delivery.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| Option |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .flat_map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            cells[1].split('`').skip(1).step_by(2).map(move |name| (name, cells[3]))
        })
        .collect()
}

/// Those of the result backend alone.
const OF_RESULTS: [&str; 1] = ["result_chord_ordered"];

/// What becomes of an option where it belongs, when it has a value that it cannot have.
fn outcome(name: &str) -> Result<(), BadOption> {
    // No option is a number beyond all limits, and what is read is complained of by its name.
    let options = json!({ name: { "x": [-1e300] } });
    if !OF_RESULTS.contains(&name) {
        return read(options).map(drop);
    }
    let loader = ConfigLoader::new().change("result_backend_transport_options", options);
    BackendOptions::read(&loader.load().unwrap(), &Map::new()).map(drop)
}

/// The options that the code asks for by their names.
fn asked_for() -> BTreeSet<&'static str> {
    let code = concat!(include_str!("../../options.rs"), include_str!("../read.rs"));
    let literals =
        |before: &'static str| code.split(before).skip(1).filter_map(|rest| rest.split('"').next());
    let ways = [".text(\"", ".boolean(\"", ".seconds(\"", ".count(\"", "let name = \""];
    ways.into_iter().flat_map(literals).collect()
}

#[test]
fn the_guide_says_of_each_option_what_becomes_of_it() {
    let names = |list: &[(&'static str, &str)]| list.iter().map(|(name, _)| *name).collect();
    let (without, refused): (BTreeSet<_>, BTreeSet<_>) = (names(WITHOUT_MEANING), names(REFUSED));
    let mut told = BTreeSet::new();
    for (name, what) in rows() {
        assert!(told.insert(name), "`{name}` is told twice");
        assert_eq!(what.starts_with("no effect"), without.contains(name), "{name}: {what}");
        assert_eq!(what.starts_with("refused"), refused.contains(name), "{name}: {what}");
        let outcome = outcome(name);
        if without.contains(name) {
            assert!(outcome.is_ok(), "{name}");
        } else {
            let why = outcome.unwrap_err().to_string();
            assert!(why.contains(&format!("`{name}` in ")), "{name}: {why}");
            assert!(!why.contains("no such option"), "{name}: {why}");
        }
    }
    let known: BTreeSet<_> = asked_for().into_iter().chain(without).chain(refused).collect();
    assert_eq!(told, known);
}
