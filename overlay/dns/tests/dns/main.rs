//! The name server on real sockets of 127.0.0.1, and in a network namespace with the resolvers of
//! real libcs.
//!
//! The tests in `clients` need root and Debian's `bind9-dnsutils`, `busybox`, `gcc`, `golang-go`,
//! `libc-ares-dev`, `musl-tools` and `python3`; each says what is missing, and is skipped without.

mod bounds;
mod client;
mod clients;
mod container;
mod forwarding;
mod keeper;
mod own;
mod server;
mod upstream;
mod zone;
