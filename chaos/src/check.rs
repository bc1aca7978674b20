//! The checkers, one file each, numbered as in `docs/invariants.md`.
//!
//! A checker takes plain data and returns a verdict. It knows nothing of nodes or of the world, so
//! that a test can give it a history that breaks the law. `crate::watch` feeds the checkers.

pub mod addresses;
pub mod budgets;
pub mod convergence;
pub mod durability;
pub mod function;
pub mod jobs;
pub mod kept;
pub mod labels;
pub mod listed;
pub mod once;
pub mod poison;
pub mod reasons;
pub mod replicas;
pub mod rest;
pub mod resurrection;
pub mod writes;
