//! Compressed bodies.

use std::{
    fmt,
    io::{self, Read, Write},
    str::FromStr,
};

use super::{DecodeError, UnknownCompression};

/// The most bytes that a compressed body may become, unless the reader sets another limit.
pub const DECOMPRESSED_LIMIT: usize = 512 << 20;

/// A way to compress a serialized body.
///
/// ```
/// use celery_core::codec::Compression;
///
/// let gzip = Compression::from_name("gzip").unwrap();
/// assert_eq!(gzip, Compression::Zlib);
/// let small = gzip.compress(&[b'x'; 1000]);
/// assert_eq!(gzip.decompress(&small).unwrap(), [b'x'; 1000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// A zlib stream, which kombu calls gzip, too.
    Zlib,
    /// bzip2.
    Bzip2,
    /// zstandard.
    Zstd,
}

impl Compression {
    /// The compression of this name or MIME type.
    ///
    /// # Errors
    ///
    /// [`UnknownCompression`] for any other, and for what Python's Celery may have and we have not: brotli and lzma.
    pub fn from_name(name: &str) -> Result<Self, UnknownCompression> {
        match name {
            "zlib" | "gzip" | "application/x-gzip" => Ok(Self::Zlib),
            "bzip2" | "bzip" | "application/x-bz2" => Ok(Self::Bzip2),
            "zstd" | "zstandard" | "application/zstd" => Ok(Self::Zstd),
            "brotli" | "lzma" | "xz" | "application/x-brotli" | "application/x-lzma" => {
                Err(UnknownCompression::Unsupported(name.to_owned()))
            }
            _ => Err(UnknownCompression::Unknown(name.to_owned())),
        }
    }

    /// The compression that a message's `compression` header states. As in kombu, a name will do, too.
    ///
    /// # Errors
    ///
    /// As [`from_name`](Self::from_name).
    pub fn from_mime(mime: &str) -> Result<Self, UnknownCompression> {
        Self::from_name(mime)
    }

    /// What a message states in its `compression` header.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Zlib => "application/x-gzip",
            Self::Bzip2 => "application/x-bz2",
            Self::Zstd => "application/zstd",
        }
    }

    /// Compresses a body, at the level that Python's modules have as their default.
    pub fn compress(self, body: &[u8]) -> Vec<u8> {
        let sink = Vec::with_capacity(body.len() / 2);
        let written = match self {
            Self::Zlib => {
                let mut encoder =
                    flate2::write::ZlibEncoder::new(sink, flate2::Compression::default());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Self::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(sink, bzip2::Compression::best());
                encoder.write_all(body).and_then(|()| encoder.finish())
            }
            Self::Zstd => zstd::bulk::compress(body, zstd::DEFAULT_COMPRESSION_LEVEL),
        };
        written.expect("an encoder fails only when its sink does, and memory does not")
    }

    /// Decompresses a body of at most [`DECOMPRESSED_LIMIT`] bytes.
    ///
    /// # Errors
    ///
    /// As [`decompress_within`](Self::decompress_within).
    pub fn decompress(self, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
        self.decompress_within(body, DECOMPRESSED_LIMIT)
    }

    /// Decompresses a body that becomes at most `limit` bytes; more than that is never held.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Decompress`] when the stream is broken, [`DecodeError::TooLarge`] when it goes past the limit.
    pub fn decompress_within(self, body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        let read = match self {
            Self::Zlib => read_within(flate2::read::ZlibDecoder::new(body), limit),
            Self::Bzip2 => read_within(bzip2::read::MultiBzDecoder::new(body), limit),
            Self::Zstd => zstd::Decoder::with_buffer(body).and_then(|it| read_within(it, limit)),
        };
        let bytes = read.map_err(|error| DecodeError::Decompress(self, error))?;
        if bytes.len() > limit { Err(DecodeError::TooLarge(self, limit)) } else { Ok(bytes) }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zlib => "zlib",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
        })
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name)
    }
}

/// Reads one byte past the limit at most, so that the caller can tell.
fn read_within(reader: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
