//! YAML beside PyYAML: tricky words, written and read, and whole documents.

use serde_json::json;

use super::super::{json, yaml};
use crate::value::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/vectors/yaml.json")).unwrap()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

#[test]
fn tricky_words_are_quoted_where_pyyaml_quotes_them() {
    for case in vectors()["strings"].as_array().unwrap() {
        let word = text(case, "text");
        let dumped = text(case, "dumped");
        let written = yaml::encode(&json!([word]));
        assert_eq!(yaml::decode(dumped.as_bytes()).unwrap(), json!([word]), "{dumped:?}");
        assert_eq!(yaml::decode(written.as_bytes()).unwrap(), json!([word]), "{written:?}");
        // PyYAML has single quotes for line breaks where it can; ours are double.
        if !word.contains(['\n', '\u{85}', '\u{2028}', '\u{2029}']) {
            assert_eq!(written, dumped, "{word:?}");
        }
    }
}

#[test]
fn plain_words_are_read_as_pyyaml_reads_them() {
    let mut read = 0;
    for case in vectors()["strings"].as_array().unwrap() {
        let Some(expected) = case["plain"]["ok"].as_str() else { continue };
        let source = format!("- {}\n", text(case, "text"));
        assert_eq!(
            yaml::decode(source.as_bytes()).unwrap(),
            json::from_str(expected).unwrap(),
            "{source:?}"
        );
        read += 1;
    }
    assert!(read > 100);
}

#[test]
fn documents_are_read_as_pyyaml_reads_them() {
    for case in vectors()["documents"].as_array().unwrap() {
        let source = text(case, "yaml");
        let read = yaml::decode(source.as_bytes());
        match case["value"].as_str() {
            Some(expected) => {
                assert_eq!(read.unwrap(), json::from_str(expected).unwrap(), "{source:?}");
            }
            None => assert!(read.is_err(), "{source:?} was read as {read:?}"),
        }
    }
}

#[test]
fn values_are_laid_out_as_pyyaml_lays_them_out() {
    for case in vectors()["dumped"].as_array().unwrap() {
        let value = json::from_str(text(case, "json")).unwrap();
        assert_eq!(yaml::encode(&value), text(case, "yaml"));
    }
}

#[test]
fn what_safe_dump_refuses_is_written_as_text() {
    let value = json!([
        { "__type__": "time", "__value__": "07:08:09" },
        { "__type__": "decimal", "__value__": "1.50" },
        { "__type__": "datetime", "__value__": "soon" },
        { "__type__": "bytes", "__value__": "text" },
    ]);
    assert_eq!(yaml::encode(&value), "- 07:08:09\n- '1.50'\n- soon\n- !!binary \"dGV4dA==\"\n");
}
