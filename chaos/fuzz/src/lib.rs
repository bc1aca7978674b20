//! What is done with bytes of somebody else, one function for each kind of them. Each may do anything with
//! the bytes but panic, hang, or take memory without a bound.
//!
//! `tests/corpus.rs` runs every one of them on its corpus, and on changed copies of that, with each push.
//! `cargo xtask fuzz TARGET` hands one to libFuzzer, which looks for bytes that reach new code; what it
//! found is kept in `corpus/TARGET`.

mod documents;
mod fleet;
mod images;

/// The function that takes the bytes.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 12] = [
    ("api", documents::api),
    ("compose", documents::compose),
    ("config", documents::config),
    ("datagrams", fleet::datagrams),
    ("image-archive", images::archive),
    ("image-manifest", images::manifest),
    ("image-tar", images::tar),
    ("node", fleet::node),
    ("records", fleet::records),
    ("requests", fleet::requests),
    ("seal", fleet::seal),
    ("tokens", documents::tokens),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
