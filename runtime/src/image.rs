//! Images: how they are brought here, and what of them is on this node.

pub mod auth;
pub mod mirror;
pub mod registry;
