//! Tests of the core through its public face.

mod conformance;
mod faulty;
