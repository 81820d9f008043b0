//! What the guide says of tests: those that it names are there.

use super::project::File;

/// Complains of each name in the column `Shown by` of a table of the page that is no test of the project.
pub(super) fn check_tests(page: &str, files: &[File]) -> Vec<String> {
    let mut shows = false;
    let mut complaints = Vec::new();
    for row in page.lines() {
        let Some(row) = row.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|'))
        else {
            shows = false;
            continue;
        };
        let cell = row.rsplit('|').next().unwrap_or_default();
        shows |= cell.trim() == "Shown by";
        for name in cell.split('`').skip(1).step_by(2).filter(|_| shows) {
            if !files.iter().any(|file| file.text.contains(&format!("fn {name}("))) {
                complaints.push(format!(
                    "docs/delivery.md: there is no test `{name}`: name the one that shows it by now"
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_is_complained_of() {
        let file = File { path: "a.rs".into(), text: "async fn it_is_there() {}".into() };
        let page = "| # | x | Shown by |\n|---|---|---|\n| 1 | `not_looked_at` | `it_is_there` |\n| 2 | x | `it_is_not`, `it_is_there` |\n| 3 | | |\n\n| # | y |\n|---|---|\n| 1 | `nor_this` |\n";
        let complaints = check_tests(page, &[file]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("`it_is_not`"));
    }
}
