//! `edgectl`.
fn main() {}
