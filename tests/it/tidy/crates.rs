//! Which crate may depend on which.

use serde_json::Value;

/// Our crates, and those of ours that each may depend on. No list has the facade: nothing depends on it but
/// examples and tests.
const OURS: [(&str, &[&str]); 6] = [
    ("celery", &["celery-build", "celery-core", "celery-macros", "celery-redis"]),
    ("celery-build", &[]),
    ("celery-core", &[]),
    ("celery-macros", &[]),
    ("celery-redis", &["celery-core"]),
    ("xtask", &[]),
];

/// Heavy crates, and the one crate of ours that others would have to pay for them through.
const OWNERS: [(&str, &str); 7] = [
    ("axum", "celery-web"),
    ("clap", "celery"),
    ("deadpool-redis", "celery-redis"),
    ("lapin", "celery-amqp"),
    ("ratatui", "celery"),
    ("redis", "celery-redis"),
    ("sqlx", "celery-sql"),
];

/// Complains of each dependency in `cargo metadata --no-deps` that is not allowed.
pub(super) fn check(metadata: &Value) -> Vec<String> {
    let root = format!("{}/", metadata["workspace_root"].as_str().expect("cargo names the root"));
    let mut complaints = Vec::new();
    for package in list(&metadata["packages"]) {
        let name = text(&package["name"]);
        let place = text(&package["manifest_path"]);
        let place = place.strip_prefix(&root).unwrap_or(place);
        if ["examples/", "tests/"].iter().any(|folder| place.starts_with(folder)) {
            continue;
        }
        let Some((_, allowed)) = OURS.iter().find(|(ours, _)| *ours == name) else {
            complaints.push(format!(
                "{place}: the crate {name} has no arrows: give it a line in tests/it/tidy/crates.rs"
            ));
            continue;
        };
        for dependency in list(&package["dependencies"]) {
            let on = text(&dependency["name"]);
            // A crate's own tests may ask for a feature of it.
            let is_itself = on == name && dependency["kind"] == "dev";
            if is_ours(on) && !allowed.contains(&on) && !is_itself {
                complaints.push(format!(
                    "{place}: {name} must not depend on {on}, only on {allowed:?} of our crates"
                ));
            }
            // A test of a driver or of the facade may look at the server itself; the core knows none.
            let is_for_tests = dependency["kind"] == "dev" && name != "celery-core";
            if let Some((_, owner)) =
                OWNERS.iter().find(|(heavy, owner)| *heavy == on && *owner != name)
                && !is_for_tests
            {
                complaints.push(format!(
                    "{place}: {name} must not depend on {on}, which belongs to {owner}"
                ));
            }
        }
    }
    complaints
}

fn is_ours(name: &str) -> bool {
    name.starts_with("celery-") || OURS.iter().any(|(ours, _)| *ours == name)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("cargo prints a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo prints a name")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaints_of(folder: &str, name: &str, on: &str, kind: Option<&str>) -> usize {
        check(&json!({
            "workspace_root": "/project",
            "packages": [{
                "name": name,
                "manifest_path": format!("/project/{folder}/Cargo.toml"),
                "dependencies": [{ "name": on, "kind": kind }],
            }],
        }))
        .len()
    }

    #[test]
    fn the_core_depends_on_no_crate_of_ours_and_on_no_driver() {
        for on in ["celery", "celery-redis", "celery-macros", "celery-new"] {
            assert_eq!(complaints_of("celery-core", "celery-core", on, None), 1, "{on}");
        }
        for on in ["redis", "deadpool-redis", "sqlx", "lapin", "axum", "clap"] {
            assert_eq!(complaints_of("celery-core", "celery-core", on, None), 1, "{on}");
            assert_eq!(complaints_of("celery-core", "celery-core", on, Some("dev")), 1, "{on}");
        }
        assert_eq!(complaints_of("celery-core", "celery-core", "tokio", None), 0);
        assert_eq!(complaints_of("celery-core", "celery-core", "celery-core", Some("dev")), 0);
    }

    #[test]
    fn a_driver_depends_on_the_core_alone() {
        assert_eq!(complaints_of("celery-redis", "celery-redis", "celery-core", None), 0);
        assert_eq!(complaints_of("celery-redis", "celery-redis", "deadpool-redis", None), 0);
        assert_eq!(complaints_of("celery-redis", "celery-redis", "celery-macros", None), 1);
        assert_eq!(complaints_of("celery-redis", "celery-redis", "celery", Some("dev")), 1);
    }

    #[test]
    fn macros_and_build_scripts_depend_on_nothing_of_ours() {
        assert_eq!(complaints_of("celery-macros", "celery-macros", "celery-core", None), 1);
        assert_eq!(complaints_of("celery-build", "celery-build", "celery-core", Some("build")), 1);
    }

    #[test]
    fn only_examples_and_tests_depend_on_the_facade() {
        assert_eq!(complaints_of("xtask", "xtask", "celery", None), 1);
        assert_eq!(complaints_of("examples/mysite", "mysite", "celery", None), 0);
        assert_eq!(complaints_of("tests/fleet", "fleet", "celery", None), 0);
    }

    #[test]
    fn a_heavy_crate_has_one_owner() {
        assert_eq!(complaints_of("xtask", "xtask", "clap", None), 1);
        assert_eq!(complaints_of(".", "celery", "clap", None), 0);
        assert_eq!(complaints_of(".", "celery", "deadpool-redis", None), 1);
        assert_eq!(complaints_of(".", "celery", "deadpool-redis", Some("dev")), 0);
    }

    #[test]
    fn a_crate_without_arrows_is_told_where_to_get_them() {
        assert_eq!(complaints_of("celery-new", "celery-new", "tokio", None), 1);
    }
}
