//! The pure part of the overlay network: who has which address, and what a node's kernel must hold.
//!
//! ```text
//! networks ─▶ settled: subnet and VNI of each ─┐
//! claims of nodes ─▶ claims: whose block is it ├─▶ addresses of tasks, virtual addresses ─▶ plan
//! routes of sites ─▶ pool: what may be chosen ─┘
//! ```
//! Every function here is a function of what all nodes know, so that all nodes agree. [`plan`] is
//! the border to Linux: a value that package `overlay-linux` compares with the kernel.

pub mod blocks;
pub mod change;
pub mod claims;
pub mod detour;
pub mod paths;
pub mod plan;
pub mod pool;
pub mod settled;
pub mod tunnel;
pub mod virtual_address;
