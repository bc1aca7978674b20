//! What applies the overlay plan to Linux: network namespaces, links, routes and balancing.
//!
//! Every network has a network namespace of its own on every node that takes part in it, and every
//! task one more. [`links::Links`] makes them and all links, addresses and routes;
//! [`balancing`] spreads connections over tasks.

pub mod balancing;
mod difference;
pub mod echo;
pub mod error;
mod forwarding;
mod item;
mod kernel;
pub mod links;
mod message;
mod names;
mod namespace;
mod netlink;
mod network;
mod probe;
mod space;
mod survey;
mod sysctl;
mod task;
mod tunnel;
mod wanted;
mod watch;

pub use forwarding::Forwarding;
pub use netlink::Refusal;
pub use survey::Survey;
