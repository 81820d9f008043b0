//! Chords, and workers as processes that share them.

mod shown;
