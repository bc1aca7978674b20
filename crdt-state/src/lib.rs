//! The fleet's state: ids, stamps, records, merge, digests, deltas and their wire encoding.
//!
//! Everything here is pure and knows nothing of sockets, clocks, disks or who is alive. To this
//! crate a facet is a number and bytes; [`spec`], [`node`] and [`task`] give the bytes their types.
//! It must never refuse a record for lack of another one: merge is total.

pub mod id;
pub mod key;
pub mod node;
pub mod spec;
pub mod stamp;
pub mod task;

pub use id::{NodeId, ServiceId, StoreId, TaskId};
pub use key::{Kind, RecordKey};
pub use stamp::{Stamp, Writer};
