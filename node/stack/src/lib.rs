//! Compose files as the services, networks and volumes of a stack.
//!
//! ```text
//! text ──parse──▶ tree ──interpolate, include, extends──▶ tree ─┐
//! text ──parse──▶ tree ──interpolate, include, extends──▶ tree ─┴merge──▶ tree ──read──▶ specs, notes
//! specs ──write──▶ tree ──yaml──▶ text
//! ```
//! Pure: files and variables are handed in. Nothing in a file is dropped in silence: a key has an
//! effect, or a note that says that it has none, or it is refused with its place.

mod configs;
mod context;
pub mod env_file;
mod fields;
pub mod interpolate;
mod load;
mod log;
mod merge;
mod parse;
mod problem;
mod service;
mod stack;
pub mod template;
mod tree;
pub mod write;
pub mod yaml;

pub use context::Files;
pub use load::File;
pub use problem::{Note, Problem};
pub use service::{IMAGE_LABEL, STACK_LABEL};
pub use stack::{Input, Stack, merged, read};
pub use tree::{Entry, Map, Node, Value};

/// Reads a file of values for [`template`]s.
pub fn parse_values(file: &str, text: &str) -> Result<Node, Problem> {
    parse::parse(file, text)
}

/// One file of values on top of another: maps are joined, everything else is replaced.
pub fn merge_values(earlier: Node, later: Node) -> Node {
    merge::values(earlier, later)
}
