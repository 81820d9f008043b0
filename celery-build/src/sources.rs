//! Finds a `tasks.rs` that is not part of any crate: its tasks would be silently absent.
//!
//! It is a scan, not a parser: it follows `mod x;` from the root files, whatever its `#[cfg]`, and does not see a
//! module that a macro writes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

mod words;

use words::{Word, words};

/// A `tasks.rs` that no `mod tasks;` reaches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Orphan {
    file: PathBuf,
    /// The file that its `mod` line belongs in.
    parent: PathBuf,
}

impl Orphan {
    /// What to tell the user, with paths as seen from the package.
    pub(crate) fn warning(&self, package: &Path) -> String {
        let shown = |path: &Path| path.strip_prefix(package).unwrap_or(path).display().to_string();
        format!(
            "{} is not part of the program, so its tasks are missing: add `mod tasks;` to {}",
            shown(&self.file),
            shown(&self.parent)
        )
    }
}

/// The `tasks.rs` files under `src` that are reached from none of the root files.
pub(crate) fn unreached_tasks(src: &Path, roots: &[PathBuf]) -> Vec<Orphan> {
    let mut reached = BTreeSet::new();
    for root in roots {
        follow(root, root.parent().unwrap_or(src), &mut reached);
    }
    let mut candidates = Vec::new();
    find_tasks(src, &mut candidates);
    candidates.sort();
    candidates
        .into_iter()
        .filter(|file| !reached.contains(file))
        .map(|file| Orphan { parent: parent_of(&file, src, roots), file })
        .collect()
}

/// Notes the file and all modules that it declares in files of their own; those of `foo` are in `folder`.
fn follow(file: &Path, folder: &Path, reached: &mut BTreeSet<PathBuf>) {
    let Ok(text) = fs::read_to_string(file) else { return };
    if !reached.insert(file.to_owned()) {
        return;
    }
    for module in modules(&text) {
        let folder = module.inside.iter().fold(folder.to_owned(), |folder, name| folder.join(name));
        if let Some(path) = &module.path {
            let beside =
                if module.inside.is_empty() { file.parent().unwrap_or(&folder) } else { &folder };
            let child = beside.join(path);
            follow(&child, child.parent().unwrap_or(&folder), reached);
        } else {
            let own = folder.join(&module.name);
            follow(&own.with_extension("rs"), &own, reached);
            follow(&own.join("mod.rs"), &own, reached);
        }
    }
}

/// A module that is declared to be in a file of its own.
#[derive(Debug, PartialEq, Eq)]
struct Module {
    name: String,
    /// What its `#[path = "…"]` says.
    path: Option<String>,
    /// The modules with braces that it is declared in.
    inside: Vec<String>,
}

/// The `mod x;` of a file.
fn modules(text: &str) -> Vec<Module> {
    let words = words(text);
    let mut found = Vec::new();
    let mut path = None;
    let mut depth = 0_usize;
    // The modules that are open, each with the depth of its brace.
    let mut open: Vec<(String, usize)> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match (word, &words[index + 1..]) {
            (Word::Name("path"), [Word::Mark('='), Word::Text(value), ..]) => {
                path = Some((*value).to_owned());
            }
            (Word::Name("mod"), [Word::Name(name), Word::Mark(';'), ..]) => found.push(Module {
                name: (*name).to_owned(),
                path: path.take(),
                inside: open.iter().map(|(name, _)| name.clone()).collect(),
            }),
            (Word::Name("mod"), [Word::Name(name), Word::Mark('{'), ..]) => {
                open.push(((*name).to_owned(), depth + 1));
            }
            (Word::Mark('{'), _) => {
                path = None;
                depth += 1;
            }
            (Word::Mark('}'), _) => {
                path = None;
                open.pop_if(|(_, of)| *of == depth);
                depth = depth.saturating_sub(1);
            }
            // A `path` that belongs to anything else.
            (Word::Mark(';'), _) => path = None,
            _ => {}
        }
    }
    found
}

fn find_tasks(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            find_tasks(&path, found);
        } else if path.file_name().is_some_and(|name| name == "tasks.rs") {
            found.push(path);
        }
    }
}

/// The file in which the `mod tasks;` of that `tasks.rs` is to be.
fn parent_of(file: &Path, src: &Path, roots: &[PathBuf]) -> PathBuf {
    let folder = file.parent().unwrap_or(src);
    let here = roots.iter().find(|root| root.parent() == Some(folder));
    let mod_rs = folder.join("mod.rs");
    match here {
        Some(root) => root.clone(),
        None if mod_rs.exists() => mod_rs,
        None => folder.with_extension("rs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, Option<&str>, &[&str])]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, path, inside)| Module {
                name: (*name).to_owned(),
                path: path.map(str::to_owned),
                inside: inside.iter().map(|name| (*name).to_owned()).collect(),
            })
            .collect();
        assert_eq!(modules(text), expected, "{text}");
    }

    #[test]
    fn modules_are_found_where_they_are_declared_and_nowhere_else() {
        check("mod tasks;", &[("tasks", None, &[])]);
        check("pub(crate) mod a; #[cfg(test)] mod b;", &[("a", None, &[]), ("b", None, &[])]);
        check("// mod a;\n/* mod b; /* mod c; */ mod d; */ const X: &str = \"mod e;\";", &[]);
        check(
            "const X: &str = r#\"mod a; \" mod b;\"#; const C: char = '\"'; mod c;",
            &[("c", None, &[])],
        );
        check("fn f<'a>(x: &'a str) { let c = '{'; } mod a;", &[("a", None, &[])]);
        check(
            "mod a { fn f() {} mod b { mod tasks; } mod c; } mod d;",
            &[("tasks", None, &["a", "b"]), ("c", None, &["a"]), ("d", None, &[])],
        );
        check(
            "#[path = \"jobs.rs\"] mod tasks; mod r#async;",
            &[("tasks", Some("jobs.rs"), &[]), ("async", None, &[])],
        );
    }

    #[test]
    fn a_tasks_file_that_no_module_reaches_is_reported_with_the_remedy() {
        let package = std::env::temp_dir().join(format!("celery-build-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = package.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/main.rs", "mod emails; mod old; mod reports; fn main() {}");
        write("src/emails.rs", "mod tasks;");
        write("src/emails/tasks.rs", "");
        write("src/old/mod.rs", "");
        write("src/old/tasks.rs", "");
        write("src/reports.rs", "#[path = \"elsewhere/tasks.rs\"] mod tasks;");
        write("src/elsewhere/tasks.rs", "");
        write("src/reports/tasks.rs", "");
        write("src/tasks.rs", "");
        let orphans = unreached_tasks(&package.join("src"), &[package.join("src/main.rs")]);
        let warnings: Vec<_> = orphans.iter().map(|orphan| orphan.warning(&package)).collect();
        fs::remove_dir_all(&package).unwrap();
        let missing = "is not part of the program, so its tasks are missing: add `mod tasks;` to";
        assert_eq!(
            warnings,
            [
                format!("src/old/tasks.rs {missing} src/old/mod.rs"),
                format!("src/reports/tasks.rs {missing} src/reports.rs"),
                format!("src/tasks.rs {missing} src/main.rs"),
            ]
        );
    }
}
