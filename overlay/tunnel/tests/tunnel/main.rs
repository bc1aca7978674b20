//! Tunnel processes on the real kernel: namespaces, TUN devices, UDP.
#![allow(clippy::unwrap_used, reason = "tests")]

mod capture;
mod lab;
mod processes;
