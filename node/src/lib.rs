//! The agent: the tokio shell around the pure node, its store, its transport, its API, and the
//! command line `edgectl`.
//!
//! Everything that touches the machine (sockets, disk, clock, processes) is here or in `runtime`;
//! everything that decides is in `node-core` and below. It must never decide.

pub mod agent;
pub mod api;
pub mod cli;
pub mod config;
pub mod docker;
pub mod identity;
pub mod lab;
pub mod store;
pub mod transport;
