//! What the guide says of tests: those that it names are there.

use super::project::File;

/// Complains of each name in the last column of a table of the page that is no test of the project.
pub(super) fn check_tests(page: &str, files: &[File]) -> Vec<String> {
    let named = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.trim_end().strip_suffix('|'))
        .filter(|row| row.starts_with(|first: char| first.is_ascii_digit()))
        .filter_map(|row| row.rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2));
    named
        .filter(|name| !files.iter().any(|file| file.text.contains(&format!("fn {name}("))))
        .map(|name| {
            format!(
                "docs/delivery.md: there is no test `{name}`: name the one that shows it by now"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_is_complained_of() {
        let file = File { path: "a.rs".into(), text: "async fn it_is_there() {}".into() };
        let page = "| # | x | Shown by |\n|---|---|---|\n| 1 | `not_looked_at` | `it_is_there` |\n| 2 | x | `it_is_not`, `it_is_there` |\n| 3 | | |\n";
        let complaints = check_tests(page, &[file]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("`it_is_not`"));
    }
}
