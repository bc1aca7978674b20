//! chaos.
fn main() {}
