//! The checkers, one file each, numbered as in `docs/invariants.md`.
//!
//! A checker is plain data in, a verdict out: it knows nothing of nodes or of the world, so that a
//! test can hand it a history that breaks the law. `crate::watch` feeds them.

pub mod budgets;
pub mod convergence;
pub mod durability;
pub mod function;
pub mod kept;
pub mod labels;
pub mod listed;
pub mod poison;
pub mod reasons;
pub mod replicas;
pub mod rest;
pub mod resurrection;
pub mod writes;
