//! Compose files as the services, networks and volumes of a stack.
//!
//! ```text
//! text ──parse──▶ tree ──interpolate──▶ tree ─┐
//! text ──parse──▶ tree ──interpolate──▶ tree ─┴merge──▶ tree ──read──▶ specs, notes
//! ```
//! Pure: files and variables are handed in. Nothing in a file is dropped in silence: a key has an
//! effect, or a note that says that it has none, or it is refused with its place.

pub mod interpolate;
pub mod merge;
pub mod parse;
pub mod problem;
pub mod tree;
