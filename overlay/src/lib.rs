//! The pure part of the overlay network: who has which address, and what a node's kernel must hold.
//!
//! [`plan`] is the border to Linux: a value that package `overlay-linux` compares with the kernel.

pub mod plan;
