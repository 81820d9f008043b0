//! The size and names of files, and the places that they must not name.

use super::File;

/// The longest file, with its tests and documentation.
const LINES: usize = 500;

/// Complains of a Rust file that is too long, or that goes by the older module layout.
pub(super) fn check(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = file.text.lines().count();
    if lines > LINES {
        complaints.push(format!(
            "{}: {lines} lines, and {LINES} is the limit: split it by what it does",
            file.path
        ));
    }
    if file.path.rsplit('/').next() == Some("mod.rs") {
        complaints.push(format!(
            "{}: write foo.rs beside foo/, so that no two tabs are called mod.rs",
            file.path
        ));
    }
    complaints
}

/// Complains of a path of somebody's machine and of a package registry's host: the project builds anywhere.
pub(super) fn check_places(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let place = format!("{}:{}", file.path, number + 1);
        if let Some(folder) = homes().into_iter().find(|folder| names_folder(line, folder)) {
            complaints.push(format!("{place}: names {folder}, which is a folder of one machine"));
        }
        // Cargo writes this word for its default registry, wherever the packages came from.
        let line = line.replace(&source(), "");
        if let Some(host) = hosts().into_iter().find(|host| line.contains(host)) {
            complaints.push(format!("{place}: names {host}: say what to install, not from where"));
        }
    }
    complaints
}

/// Joined here, so that this file does not name them either.
fn homes() -> [String; 3] {
    ["home", "root", "work"].map(|name| ["/", name, "/"].concat())
}

fn hosts() -> [String; 3] {
    [("crates", "io"), ("pypi", "org"), ("pythonhosted", "org")]
        .map(|(name, end)| [name, ".", end].concat())
}

fn source() -> String {
    format!("registry+https://github.com/rust-lang/{}-index", hosts()[0])
}

/// Whether `line` names a path that begins with `folder`; `https://host/a/folder/` does not.
fn names_folder(line: &str, folder: &str) -> bool {
    let is_inner = |before: char| before.is_alphanumeric() || "._-}*~)".contains(before);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(is_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: impl Into<String>) -> File {
        File { path: path.to_owned(), text: text.into() }
    }

    #[test]
    fn a_file_of_more_than_five_hundred_lines_is_too_long() {
        assert_eq!(check(&file("src/long.rs", "//\n".repeat(501))).len(), 1);
        assert_eq!(check(&file("src/long.rs", "//\n".repeat(500))).len(), 0);
    }

    #[test]
    fn a_mod_rs_is_refused() {
        assert_eq!(check(&file("src/worker/mod.rs", "")).len(), 1);
        assert_eq!(check(&file("src/worker/mode.rs", "")).len(), 0);
    }

    #[test]
    fn a_folder_of_one_machine_is_refused() {
        for home in homes() {
            assert_eq!(check_places(&file("README.md", format!("see {home}me/notes"))).len(), 1);
            assert_eq!(check_places(&file("a.py", format!("path = '{home}me'"))).len(), 1);
            assert_eq!(check_places(&file("a.json", format!("\"file://{home}me\""))).len(), 1);
            assert_eq!(
                check_places(&file("README.md", format!("https://example.com{home}page"))).len(),
                0
            );
        }
    }

    #[test]
    fn a_registrys_host_is_refused() {
        for host in hosts() {
            assert_eq!(
                check_places(&file("README.md", format!("https://index.{host}/simple"))).len(),
                1
            );
        }
    }

    #[test]
    fn the_lock_file_may_say_what_cargo_says() {
        assert_eq!(
            check_places(&file("Cargo.lock", format!("source = \"{}\"", source()))).len(),
            0
        );
        assert_eq!(
            check_places(&file("Cargo.lock", format!("source = \"{}\"", hosts()[0]))).len(),
            1
        );
    }
}
