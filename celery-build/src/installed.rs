//! Which dependencies have tasks, by what `cargo metadata` tells.

use std::path::PathBuf;

use serde_json::Value;

/// What the metadata of a package says that matters here.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The crates with tasks.
    pub(crate) apps: Vec<App>,
    /// The files that say so: a change in one may change the answer.
    pub(crate) manifests: Vec<PathBuf>,
    /// The root files of the package's own crates.
    pub(crate) roots: Vec<PathBuf>,
}

/// A crate with tasks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct App {
    /// What the package calls it, which may rename it.
    pub(crate) extern_name: String,
    /// What it calls itself, with which the modules of its tasks begin.
    pub(crate) crate_name: String,
}

/// Finds the direct dependencies with tasks.
///
/// # Errors
/// When the metadata is not of a package, or does not have what the package lists.
pub(crate) fn find(metadata: &Value) -> Result<Found, String> {
    let root_id = &metadata["resolve"]["root"];
    let root = package(metadata, root_id)
        .ok_or("`cargo metadata` names no package; call it in the `build.rs` of one")?;
    let workspace = PathBuf::from(text(&metadata["workspace_root"]));
    let mut found = Found {
        apps: Vec::new(),
        manifests: vec![PathBuf::from(text(&root["manifest_path"])), workspace.join("Cargo.lock")],
        roots: list(&root["targets"])
            .filter(|target| is_kind(target, &["lib", "rlib", "bin"]))
            .map(|target| PathBuf::from(text(&target["src_path"])))
            .collect(),
    };
    let mut listed = installed_apps(root)?;
    listed.retain(|name| !same_name(name, text(&root["name"])));
    let node = list(&metadata["resolve"]["nodes"]).find(|node| node["id"] == *root_id);
    for dependency in node.into_iter().flat_map(|node| list(&node["deps"])) {
        // `null` is a normal dependency, in place of "dev" or "build".
        if !list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()) {
            continue;
        }
        let Some(package) = package(metadata, &dependency["pkg"]) else { continue };
        if package["source"].is_null() {
            // It is on this machine, so its manifest may be edited.
            found.manifests.push(PathBuf::from(text(&package["manifest_path"])));
        }
        let (package_name, extern_name) = (text(&package["name"]), text(&dependency["name"]));
        let before = listed.len();
        listed.retain(|name| !same_name(name, package_name) && !same_name(name, extern_name));
        if listed.len() == before && package["metadata"]["celery"]["tasks"] != true {
            continue;
        }
        let library = list(&package["targets"]).find(|target| is_kind(target, &["lib", "rlib"]));
        let library = library.ok_or_else(|| format!("`{package_name}` is said to have tasks but has no library; put them in a `src/lib.rs`"))?;
        found.apps.push(App {
            extern_name: extern_name.to_owned(),
            crate_name: text(&library["name"]).replace('-', "_"),
        });
    }
    found.apps.sort_by(|a, b| a.extern_name.cmp(&b.extern_name));
    match listed.as_slice() {
        [] => Ok(found),
        missing => Err(format!(
            "`installed_apps` in {} lists what is no dependency of `{}`: {}; add it under `[dependencies]`, or take it off the list",
            text(&root["manifest_path"]),
            text(&root["name"]),
            missing.join(", "),
        )),
    }
}

/// The expression that `celery::installed_apps!()` includes: the names, in a block that links the crates.
pub(crate) fn source(apps: &[App]) -> String {
    let mut source = "{\n".to_owned();
    for app in apps {
        source.push_str(&format!("    use ::{} as _;\n", app.extern_name));
    }
    let names: Vec<_> = apps.iter().map(|app| format!("{:?}", app.crate_name)).collect();
    source.push_str(&format!("    &[{}]\n}}\n", names.join(", ")));
    source
}

fn installed_apps(root: &Value) -> Result<Vec<String>, String> {
    match &root["metadata"]["celery"]["installed_apps"] {
        Value::Null => Ok(Vec::new()),
        Value::Array(names) if names.iter().all(Value::is_string) => {
            Ok(names.iter().map(|name| text(name).to_owned()).collect())
        }
        other => Err(format!(
            "`installed_apps` in {} is a list of names, such as [\"emails\", \"uploads\"], not {other}",
            text(&root["manifest_path"])
        )),
    }
}

fn package<'a>(metadata: &'a Value, id: &Value) -> Option<&'a Value> {
    list(&metadata["packages"]).find(|package| package["id"] == *id)
}

fn is_kind(target: &Value, kinds: &[&str]) -> bool {
    list(&target["kind"]).any(|kind| kinds.contains(&text(kind)))
}

/// Packages are written with hyphens or underscores; crates with underscores.
fn same_name(a: &str, b: &str) -> bool {
    a.replace('-', "_") == b.replace('-', "_")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A program with a crate of tasks, a renamed one, one that does not say so, one for tests only, and one that is
    /// optional and off, which has no place in the resolved graph.
    fn metadata(program: Value) -> Value {
        let package = |name: &str, celery: Value| {
            json!({
                "name": name, "id": format!("{name} 1.0"), "source": null,
                "manifest_path": format!("/w/{name}/Cargo.toml"), "metadata": { "celery": celery },
                "targets": [
                    { "kind": ["custom-build"], "name": "build-script-build", "src_path": format!("/w/{name}/build.rs") },
                    { "kind": ["lib"], "name": name, "src_path": format!("/w/{name}/src/lib.rs") },
                ],
            })
        };
        let dependency = |name: &str, of: &str, kind: Value| json!({ "name": name, "pkg": format!("{of} 1.0"), "dep_kinds": [{ "kind": kind, "target": null }] });
        json!({
            "workspace_root": "/w",
            "packages": [
                package("site", program),
                package("up-loads", json!({ "tasks": true })),
                package("emails", json!({ "tasks": true })),
                package("plain", Value::Null),
                package("dev_tasks", json!({ "tasks": true })),
                package("off", json!({ "tasks": true })),
            ],
            "resolve": { "root": "site 1.0", "nodes": [
                { "id": "emails 1.0", "deps": [] },
                { "id": "site 1.0", "deps": [
                    dependency("up_loads", "up-loads", Value::Null),
                    dependency("mail", "emails", Value::Null),
                    dependency("plain", "plain", Value::Null),
                    dependency("dev_tasks", "dev_tasks", json!("dev")),
                ] },
            ] },
        })
    }

    fn apps(program: Value) -> Result<Vec<(String, String)>, String> {
        let found = find(&metadata(program))?;
        Ok(found.apps.into_iter().map(|app| (app.extern_name, app.crate_name)).collect())
    }

    fn named(names: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        Ok(names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
    }

    #[test]
    fn direct_dependencies_that_declare_tasks_are_found_by_the_name_they_go_by() {
        assert_eq!(apps(Value::Null), named(&[("mail", "emails"), ("up_loads", "up_loads")]));
    }

    #[test]
    fn an_app_can_be_listed_by_the_program() {
        let expected = named(&[("mail", "emails"), ("plain", "plain"), ("up_loads", "up_loads")]);
        assert_eq!(apps(json!({ "installed_apps": ["plain", "emails", "site"] })), expected);
    }

    #[test]
    fn a_listed_app_that_is_no_dependency_is_refused() {
        let error = apps(json!({ "installed_apps": ["off", "emails"] })).unwrap_err();
        assert_eq!(
            error,
            "`installed_apps` in /w/site/Cargo.toml lists what is no dependency of `site`: off; \
             add it under `[dependencies]`, or take it off the list"
        );
        let error = apps(json!({ "installed_apps": "emails" })).unwrap_err();
        assert!(error.contains("is a list of names"), "{error}");
    }

    #[test]
    fn a_change_in_a_manifest_is_looked_out_for() {
        let found = find(&metadata(Value::Null)).unwrap();
        let manifests: Vec<_> = found.manifests.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            manifests,
            [
                "/w/site/Cargo.toml",
                "/w/Cargo.lock",
                "/w/up-loads/Cargo.toml",
                "/w/emails/Cargo.toml",
                "/w/plain/Cargo.toml"
            ]
        );
        assert_eq!(found.roots, [PathBuf::from("/w/site/src/lib.rs")]);
    }

    #[test]
    fn a_crate_is_linked_by_the_name_it_goes_by_and_known_by_its_own() {
        let found = find(&metadata(Value::Null)).unwrap();
        let expected = "{\n    use ::mail as _;\n    use ::up_loads as _;\n    &[\"emails\", \"up_loads\"]\n}\n";
        assert_eq!(source(&found.apps), expected);
    }
}
