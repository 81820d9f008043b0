//! YAML as kombu has it: PyYAML's `safe_dump` and `safe_load`, which speak YAML 1.1.
//!
//! What PyYAML reads from a plain word is not what newer parsers make of it: `on`, `1:30` and `0777` are a boolean and
//! numbers. So the words are told apart here, by PyYAML's rules, and only the syntax is a parser crate's.

mod reader;
mod scalar;
mod writer;

pub(super) use reader::decode;
pub(super) use writer::encode;
