//! Results as bytes: `result_serializer` around them, and `result_compression`'s frame around that.

use std::borrow::Cow;

use bytes::Bytes;
use celery_core::{
    backend::BackendError,
    codec::{AcceptContent, Compression, Serializer},
    config::Config,
    state::TaskMeta,
    value::Value,
};

/// What a compressed document starts with; its MIME type follows, and a zero byte.
const FRAME: &[u8] = b"\0celery-compressed\0";

/// Writes and reads documents as a configuration has them.
#[derive(Debug)]
pub(super) struct Documents {
    serializer: Serializer,
    compression: Option<Compression>,
    accept: AcceptContent,
}

impl Documents {
    pub(super) fn new(config: &Config) -> Result<Self, BackendError> {
        let serializer =
            Serializer::from_name(&config.result.serializer).map_err(BackendError::codec)?;
        let mut accept = AcceptContent::new(config.result_content().iter().map(String::as_str))
            .map_err(BackendError::codec)?;
        // What we write ourselves, we read.
        accept.add(serializer);
        let compression = config.result.compression.as_deref().map(Compression::from_name);
        Ok(Self {
            serializer,
            compression: compression.transpose().map_err(BackendError::codec)?,
            accept,
        })
    }

    pub(super) fn write(&self, meta: &TaskMeta) -> Result<Bytes, BackendError> {
        let document = meta.encode(self.serializer).map_err(BackendError::codec)?;
        Ok(self.framed(document))
    }

    /// Writes something else that is kept beside results.
    pub(super) fn write_value(&self, value: &Value) -> Result<Bytes, BackendError> {
        Ok(self.framed(self.serializer.encode(value).map_err(BackendError::codec)?))
    }

    fn framed(&self, document: Bytes) -> Bytes {
        match self.compression {
            None => document,
            Some(compression) => {
                let mime = compression.mime().as_bytes();
                [FRAME, mime, b"\0", &compression.compress(&document)].concat().into()
            }
        }
    }

    /// Reads a document that was written with the serializer of this configuration, compressed or not; one that is
    /// JSON is read in any case.
    pub(super) fn read(&self, task_id: &str, document: &[u8]) -> Result<TaskMeta, BackendError> {
        TaskMeta::from_value(task_id, self.read_value(document)?).map_err(BackendError::codec)
    }

    /// Reads something else that is kept beside results, in the same way.
    pub(super) fn read_value(&self, document: &[u8]) -> Result<Value, BackendError> {
        let document = match document.strip_prefix(FRAME) {
            None => Cow::Borrowed(document),
            Some(framed) => {
                let end = framed.iter().position(|byte| *byte == 0);
                let (mime, body) =
                    framed.split_at(end.ok_or_else(|| {
                        BackendError::codec("the frame of the result is cut off")
                    })?);
                let mime = String::from_utf8_lossy(mime);
                let compression = Compression::from_mime(&mime).map_err(BackendError::codec)?;
                Cow::Owned(compression.decompress(&body[1..]).map_err(BackendError::codec)?)
            }
        };
        let is_json = matches!(document.first(), Some(b'{' | b'['))
            && self.accept.serializers().contains(&Serializer::Json);
        let value = match self.serializer.decode(&document) {
            Err(_) if is_json => Serializer::Json.decode(&document),
            outcome => outcome,
        };
        value.map_err(BackendError::codec)
    }
}

#[cfg(test)]
mod tests {
    use celery_core::{config::ConfigLoader, state::State};
    use serde_json::json;

    use super::*;

    fn documents(settings: &[(&str, &str)]) -> Documents {
        let loader = settings
            .iter()
            .fold(ConfigLoader::new(), |loader, (name, value)| loader.change(*name, *value));
        Documents::new(&loader.load().unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_with_every_serializer_and_compression() {
        let meta = TaskMeta::new("an-id", State::Success, json!({ "x": [1, "é"] }));
        for serializer in ["json", "msgpack", "yaml"] {
            for compression in [None, Some("zlib"), Some("bzip2"), Some("zstd")] {
                let mut settings = vec![("result_serializer", serializer)];
                settings.extend(compression.map(|name| ("result_compression", name)));
                let documents = documents(&settings);
                let bytes = documents.write(&meta).unwrap();
                assert_eq!(bytes.starts_with(FRAME), compression.is_some());
                assert_eq!(documents.read("an-id", &bytes).unwrap(), meta, "{settings:?}");
            }
        }
    }

    #[test]
    fn a_reader_that_does_not_compress_reads_what_is_compressed() {
        let meta = TaskMeta::new("an-id", State::Failure, json!(null));
        let bytes = documents(&[("result_compression", "zlib")]).write(&meta).unwrap();
        assert!(bytes.starts_with(b"\0celery-compressed\0application/x-gzip\0\x78"));
        assert_eq!(documents(&[]).read("an-id", &bytes).unwrap(), meta);
    }
}
