//! Empty so far.

/// Values: what tasks take and give, in JSON's terms and Python's.
pub mod value;

/// Values as bytes: serializers, compression, and what a reader accepts.
pub mod codec;

/// Python's repr of values, as logs and events show them.
pub mod repr;

/// Dates as they are written on the wire.
pub mod date;
