//! Translates specs of Docker's API to state types and back.
//!
//! Settings that this version cannot handle are refused by name, never dropped; empty values and
//! Docker's own defaults are accepted. [`mod@accept`] of the result of [`mod@show`] is the same
//! spec again, even after a Docker client, which loses unknown fields, has sent it back.

mod accept;
pub mod names;
pub mod network;
mod show;
mod spelling;
#[cfg(test)]
mod tests;
mod unknown;

use runtime::image::BadReference;

pub use accept::extension::memory_and_swap;
pub use accept::{accept, availability};
pub use network::accept_network;
pub use show::{
    availability_word, show, show_attached_task, show_node_resources, show_port, show_resources,
    show_task,
};
pub use unknown::read_spec;

/// Why a spec is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// A field that this version does not support.
    #[error("{0} is not supported yet; leave it out")]
    NotYet(String),
    /// A setting of a container that has no effect here.
    #[error("{flag} ({field}) has no effect here, and is never ignored; leave it out")]
    NoEffect {
        /// Path of the field.
        field: String,
        /// The flag of `docker run`.
        flag: String,
    },
    /// A setting of Windows containers.
    #[error("{0} is a setting of Windows containers, and every node runs Linux; leave it out")]
    Windows(String),
    /// An option of a network that no interface has.
    #[error(transparent)]
    Interface(crdt_state::interface::BadOption),
    /// A word that the field does not accept.
    #[error("{field}: `{value}` is none of {allowed}")]
    BadWord {
        /// Path of the field.
        field: &'static str,
        /// What was sent.
        value: String,
        /// What may be sent.
        allowed: &'static str,
    },
    /// A number that does not fit.
    #[error("{field}: {value} is more than {max}")]
    TooMuch {
        /// Path of the field.
        field: &'static str,
        /// What was sent.
        value: u64,
        /// The largest value.
        max: u64,
    },
    /// A number that cannot be below zero.
    #[error("{0}: {1} is negative; write 0 or more")]
    Negative(String, String),
    /// More than one mode.
    #[error("Mode: give one of Replicated, Global, ReplicatedJob and GlobalJob")]
    TwoModes,
    /// A job has no rollout.
    #[error(transparent)]
    Job(#[from] node_core::edit::BadJob),
    /// A body that is no spec.
    #[error("the body of the request cannot be read: {0}")]
    Unreadable(String),
    /// An invalid value.
    #[error("{field} `{value}`: {hint}")]
    BadValue {
        /// Path of the field.
        field: &'static str,
        /// What was sent.
        value: String,
        /// Why it is invalid, and what to write.
        hint: String,
    },
    /// A setting of containers, for a program of the host.
    #[error("{0}: only a container has it, not a program of the host; leave it out")]
    OnlyContainer(String),
    /// An invalid image reference.
    #[error("{0}")]
    BadImage(#[from] BadReference),
    /// A network that does not exist.
    #[error("network `{0}` not found; `edgectl network ls` lists them")]
    NoSuchNetwork(String),
    /// Two networks at once.
    #[error("networks `{0}` and `{1}`: a container has one of them; leave the other out")]
    TwoNetworks(String, String),
    /// Health times without a test.
    #[error("Healthcheck has times and no test; give the test along with them (--health-cmd)")]
    TimesOfNoCheck,
    /// A process with an image.
    #[error(
        "image `{0}`: a task with the runtime `process` has none; \
         write `process:/path/to/program`, or give the program as the first of Command"
    )]
    ImageOfProcess(String),
    /// A process without a program.
    #[error("the service names no program; write `process:/path/to/program` in place of the image")]
    NoProgram,
    /// No image is named.
    #[error(
        "the service names no image; write one like nginx:1.27, or `process:/path/to/program` for \
         a program of the host"
    )]
    NoImage,
}
