//! The examples do what they say.

use std::process::Command;

#[test]
fn the_first_example_prints_a_result_a_retried_one_and_a_failure() {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--example", "01_hello"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it is there");
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{complaint}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..2], ["2 + 2 is 4", "fetched https://example.org, at attempt 3"]);
    assert!(
        lines[2].starts_with("task ")
            && lines[2].ends_with("raised ParseIntError: invalid digit found in string"),
        "{said}"
    );
    assert_eq!(lines.len(), 3);
}
