//! Settings from a file.

use std::{fs, path::PathBuf};

use celery_core::{app::Celery, error::Error};

/// A settings file of that name with that text.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

fn refused(built: Result<impl Sized, Error>) -> String {
    match built {
        Ok(_) => panic!("it should be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn settings_are_read_from_a_file_in_their_namespace() {
    let path = file("good.toml", "DEBUG = true\nCELERY_TASK_DEFAULT_QUEUE = \"mail\"\n");
    let app =
        Celery::builder("files").environment_from([]).config_from_file(path, "CELERY").unwrap();
    assert_eq!(app.build().unwrap().config().task.default_queue, "mail");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = refused(Celery::builder("files").config_from_file("no/such.toml", "CELERY"));
    assert!(missing.starts_with("could not read the settings file no/such.toml: "), "{missing}");
}

#[test]
fn a_file_that_is_no_toml_is_named_with_the_line_and_not_quoted() {
    let path =
        file("bad.toml", "CELERY_TIMEZONE = \"UTC\"\nCELERY_BROKER_URL = \"redis://:s3cret@host\n");
    let broken = refused(Celery::builder("files").config_from_file(&path, "CELERY"));
    assert!(broken.contains(&path.display().to_string()) && broken.contains("line 2"), "{broken}");
    assert!(!broken.contains("s3cret"), "{broken}");
}
