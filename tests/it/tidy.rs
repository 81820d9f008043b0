//! The project's rules that no lint knows, run as tests: crate arrows, module arrows, files and words.
//!
//! Each rule is a function from text to complaints, so that the tests beside it can show it a bad sample; the tests
//! here show it the project.

mod crates;
mod files;
mod guide;
mod lexer;
mod modules;
mod project;
mod words;

use project::{File, Project};

/// Fails with all complaints at once.
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn crates_depend_only_downwards() {
    assert_none(&crates::check(&Project::find().metadata()));
}

#[test]
fn modules_of_the_core_use_only_earlier_groups() {
    assert_none(&modules::check(&Project::find().rust_files()));
}

#[test]
fn the_architecture_lists_the_same_modules() {
    assert_none(&modules::check_architecture(&Project::find().read("ARCHITECTURE.md")));
}

#[test]
fn files_are_short_and_well_named() {
    let files = Project::find().rust_files();
    assert!(files.len() > 10, "only {} Rust files were found", files.len());
    assert_none(&files.iter().flat_map(files::check).collect::<Vec<_>>());
}

#[test]
fn code_is_finished_and_tests_do_not_sleep() {
    assert_none(&Project::find().rust_files().iter().flat_map(words::check).collect::<Vec<_>>());
}

#[test]
fn the_tests_that_the_guide_names_are_there() {
    let project = Project::find();
    assert_none(&guide::check_tests(&project.read("docs/delivery.md"), &project.rust_files()));
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    assert_none(
        &Project::find().text_files().iter().flat_map(files::check_places).collect::<Vec<_>>(),
    );
}
