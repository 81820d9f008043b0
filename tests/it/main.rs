//! The project's own tests: one binary, since every further one is linked anew on each change.

mod autodiscovery;
mod interop;
mod macros;
mod services;
mod tidy;
mod ui;
