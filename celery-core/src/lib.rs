//! Empty so far.

pub mod value;

pub mod codec;

pub mod repr;

pub mod date;
