//! How a value becomes the bytes of a body, and back.
//!
//! A body is serialized, then perhaps compressed. What it was made with travels beside it, as MIME types, and
//! [`decode`] undoes both. A reader takes only the serializers that its [`AcceptContent`] names.
//!
//! Decoders read what strangers sent: none panics, none reads deeper than [`MAX_DEPTH`], and none makes much more of a
//! body than it is long.

pub mod json;

mod accept;
mod compression;
mod msgpack;
mod yaml;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, str::FromStr};

use bytes::Bytes;

pub use accept::{AcceptContent, Content};
pub use compression::{Compression, DECOMPRESSED_LIMIT};

use crate::value::{Value, tagged};

/// The deepest nesting of arrays and objects that a body may have.
pub const MAX_DEPTH: usize = 200;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A way to write values as bytes.
///
/// ```
/// use celery_core::codec::Serializer;
/// use serde_json::json;
///
/// let body = Serializer::Json.encode(&json!([[2, 3], {}])).unwrap();
/// assert_eq!(&body[..], b"[[2, 3], {}]");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Serializer {
    /// JSON, with kombu's forms for what JSON lacks.
    #[default]
    Json,
    /// MessagePack. It has bytes of its own; dates, decimals and UUIDs are sent as text.
    Msgpack,
    /// YAML 1.1, as PyYAML's safe dump writes it.
    Yaml,
}

impl Serializer {
    /// The serializer of this name or content type.
    ///
    /// # Errors
    ///
    /// [`UnknownSerializer`] when there is none, or it is one that we refuse, such as pickle.
    pub fn from_name(name: &str) -> Result<Self, UnknownSerializer> {
        [Self::Json, Self::Msgpack, Self::Yaml]
            .into_iter()
            .find(|it| it.name() == name || it.content_type() == name)
            .ok_or_else(|| match name {
                "pickle" | PICKLE => UnknownSerializer::Pickle,
                _ => UnknownSerializer::Unknown(name.to_owned()),
            })
    }

    /// The name that settings and options use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
            Self::Yaml => "yaml",
        }
    }

    /// What a message states as its `content-type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Msgpack => "application/x-msgpack",
            Self::Yaml => "application/x-yaml",
        }
    }

    /// What a message states as its `content-encoding`.
    pub const fn content_encoding(self) -> &'static str {
        match self {
            Self::Json | Self::Yaml => "utf-8",
            Self::Msgpack => "binary",
        }
    }

    /// Writes `value` as bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the value is nested deeper than [`MAX_DEPTH`], or holds what this serializer cannot express.
    pub fn encode(self, value: &Value) -> Result<Bytes, EncodeError> {
        if deeper_than(value, MAX_DEPTH) {
            return Err(EncodeError::TooDeep);
        }
        match self {
            Self::Json => Ok(json::to_vec(value).into()),
            Self::Msgpack => msgpack::encode(value).map(Bytes::from),
            Self::Yaml => Ok(yaml::encode(value).into()),
        }
    }

    /// Reads a value from bytes that [`encode`](Self::encode), or Python, wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the bytes are not what this serializer writes.
    pub fn decode(self, bytes: &[u8]) -> Result<Value, DecodeError> {
        match self {
            Self::Json => json::from_slice(bytes),
            Self::Msgpack => msgpack::decode(bytes),
            Self::Yaml => yaml::decode(bytes),
        }
    }
}

impl fmt::Display for Serializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Serializer {
    type Err = UnknownSerializer;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name)
    }
}

/// The content type of pickle, which is known so that it can be refused by name.
pub(crate) const PICKLE: &str = "application/x-python-serialize";

/// A serializer was asked for that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownSerializer {
    /// Pickle, which is never read or written.
    #[error(
        "pickle is refused: reading it runs code that the sender chose, and only Python can; use json, msgpack or yaml"
    )]
    Pickle,
    /// A name that nothing is known by.
    #[error("there is no serializer {0:?}: use json, msgpack or yaml")]
    Unknown(String),
}

/// A value could not be written as bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`].
    #[error("the value is nested deeper than {MAX_DEPTH} levels, which no reader would take")]
    TooDeep,
    /// The serializer has no form for this part of the value.
    #[error("{serializer} cannot express {what}: send it as text, or use json")]
    Unsupported {
        /// The serializer.
        serializer: Serializer,
        /// What it cannot write.
        what: String,
    },
}

/// A body could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The body is pickled, which is never read.
    #[error(
        "refusing pickled content ({PICKLE}): reading it runs code that the sender chose; let the sender use task_serializer = \"json\""
    )]
    Pickle,
    /// The content type is one that this reader was not told to accept.
    #[error(
        "refusing to deserialize untrusted content of type {0:?}: add it to accept_content if its senders are trusted"
    )]
    NotAccepted(String),
    /// The body is not what its content type says.
    #[error("the body is not valid {serializer}")]
    Malformed {
        /// What the body was read as.
        serializer: Serializer,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// The body is valid, but holds what a value cannot.
    #[error("the {serializer} body holds {what}")]
    Unsupported {
        /// What the body was read as.
        serializer: Serializer,
        /// What cannot be held.
        what: String,
    },
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`].
    #[error("the {0} body is nested deeper than {MAX_DEPTH} levels")]
    TooDeep(Serializer),
    /// The text is not in the encoding that the message states.
    #[error("the body is not text in the encoding {0:?}")]
    Text(String),
    /// The message states a text encoding that is not known.
    #[error("the content encoding {0:?} is not known: use utf-8, us-ascii, latin-1 or binary")]
    UnknownEncoding(String),
    /// The message states a compression that is not known, or not built in.
    #[error(transparent)]
    UnknownCompression(#[from] UnknownCompression),
    /// The body is not what its compression says.
    #[error("the body is not a valid {0} stream")]
    Decompress(Compression, #[source] std::io::Error),
    /// The body would be larger than the limit when decompressed.
    #[error("the {0} body is larger than {1} bytes when decompressed")]
    TooLarge(Compression, usize),
}

impl DecodeError {
    fn malformed(serializer: Serializer, source: impl Into<BoxError>) -> Self {
        Self::Malformed { serializer, source: source.into() }
    }
}

/// A compression was asked for that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownCompression {
    /// Python's Celery has it, we do not.
    #[error("the compression {0:?} is not supported here: use zlib, bzip2 or zstd")]
    Unsupported(String),
    /// A name that nothing is known by.
    #[error("there is no compression {0:?}: use zlib, bzip2 or zstd")]
    Unknown(String),
}

/// Reads the body of a message, as kombu does: decompresses it, then decodes it by its content type.
///
/// - `application/data` (also meant by no content type at all) and `application/text` are always accepted. They are
///   text in the stated encoding, or bytes when that is `binary`; so is `text/plain`, when it is accepted.
/// - No content encoding means `utf-8`. Serialized bodies have the encoding of their serializer, whatever is stated.
///
/// # Errors
///
/// [`DecodeError`], which names what is wrong. None of them is worth another try.
pub fn decode(
    body: &[u8],
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    compression: Option<&str>,
    accept: &AcceptContent,
) -> Result<Value, DecodeError> {
    let content = accept.check(content_type.unwrap_or_default())?;
    let body = match compression.filter(|it| !it.is_empty()) {
        Some(mime) => Cow::Owned(Compression::from_mime(mime)?.decompress(body)?),
        None => Cow::Borrowed(body),
    };
    match content {
        Content::Serialized(serializer) => serializer.decode(&body),
        Content::Raw => raw(&body, content_encoding.unwrap_or("utf-8")),
    }
}

fn raw(body: &[u8], encoding: &str) -> Result<Value, DecodeError> {
    let not_text = || DecodeError::Text(encoding.to_owned());
    let text = match encoding.to_ascii_lowercase().as_str() {
        "binary" | "ascii-8bit" => return Ok(tagged::bytes(body)),
        "" | "utf-8" | "utf8" | "utf_8" => str::from_utf8(body).map_err(|_| not_text())?.to_owned(),
        "us-ascii" | "ascii" if body.is_ascii() => body.iter().copied().map(char::from).collect(),
        "us-ascii" | "ascii" => return Err(not_text()),
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => {
            body.iter().copied().map(char::from).collect()
        }
        _ => return Err(DecodeError::UnknownEncoding(encoding.to_owned())),
    };
    Ok(Value::String(text))
}

/// Whether arrays and objects are nested deeper than `limit`, found without going deeper than that.
pub(crate) fn deeper_than(value: &Value, limit: usize) -> bool {
    let inner = |it: &Value| limit == 0 || deeper_than(it, limit - 1);
    match value {
        Value::Array(items) => limit == 0 || items.iter().any(inner),
        Value::Object(map) => limit == 0 || map.values().any(inner),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
