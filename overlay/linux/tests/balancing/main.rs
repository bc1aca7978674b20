//! Balancing against a real kernel, in namespaces that the tests make. Needs root.

#![expect(clippy::unwrap_used, reason = "a test")]

mod follower;
mod forwarding;
mod lab;
mod network;
mod ports;
mod sctp;
mod some;
mod taken;
mod traffic;
