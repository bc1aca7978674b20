//! The fleet's state: ids, stamps, records, merge, digests, deltas and their wire encoding.
//!
//! Everything here is pure and knows nothing of sockets, clocks, disks or liveness. To this crate a
//! facet is a number and bytes; [`spec`], [`node`] and [`task`] give the bytes their types. It must
//! never refuse a record because another one is missing: merge is total.

pub mod agreement;
pub mod autoscale;
pub mod client;
pub mod condition;
pub mod conflict;
pub mod delta;
pub mod digest;
pub mod file;
pub mod fleet;
pub mod fleet_key;
pub mod handover;
pub mod id;
pub mod image;
pub mod interface;
pub mod job;
pub mod junk;
pub mod key;
pub mod labels;
pub mod limits;
pub mod network;
pub mod node;
pub mod partition;
pub mod previous;
pub mod read;
pub mod record;
pub mod register;
pub mod relation;
pub mod removal;
pub mod replica;
pub mod resource;
pub mod rollout;
pub mod schedule;
pub mod secret;
pub mod service;
pub mod signature;
pub mod spec;
pub mod stack;
pub mod stamp;
pub mod task;
pub mod token;
pub mod volume;
pub mod wire;

pub use conflict::{Alternative, Conflict, NoSuchValue};
pub use delta::{Delta, Merged};
pub use digest::{Digest, TreePath};
pub use file::{FileClass, FileId};
pub use fleet::FleetSettings;
pub use id::{ClientId, ConfigId, NetworkId, NodeId, SecretId, ServiceId, StoreId, TaskId};
pub use image::ImageFact;
pub use junk::Junk;
pub use key::{Kind, RecordKey};
pub use labels::labels;
pub use limits::Unfit;
pub use previous::Previous;
pub use read::{FleetImage, fleet_images};
pub use record::Record;
pub use replica::{Quarantined, Replica};
pub use service::{NameConflict, Service, name_conflicts, name_owner, services};
pub use signature::{
    Ed25519Signer, Ed25519Verifier, HashSigner, HashVerifier, PublicKey, Signature, Signer,
    Verifier,
};
pub use stamp::{Stamp, Writer};
