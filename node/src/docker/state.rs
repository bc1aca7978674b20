//! Specs of Docker's API to state types and back.
//!
//! What this version cannot do is refused by name, never dropped; what is empty or Docker's own
//! default is let through. [`accept`] of what [`show`] gives is the same spec again, also when a
//! Docker client, which loses fields that it does not know, was in between.

mod accept;
mod show;
#[cfg(test)]
mod tests;

pub use accept::{accept, availability};
pub use show::{availability_word, show, show_resources, show_task};

/// Why a spec is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// A field that this version has no use for.
    #[error("{0} is not supported yet; leave it out")]
    NotYet(String),
    /// A word that is none of those that the field takes.
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
        /// The most.
        max: u64,
    },
    /// More than one mode.
    #[error("Mode: give one of Replicated and Global, not both")]
    TwoModes,
    /// A container.
    #[error(
        "image `{0}`: containers are not supported yet, programs of the host are; \
         name one as `process:/path/to/program` in place of the image"
    )]
    Container(String),
    /// A process with an image.
    #[error(
        "image `{0}`: a task with the runtime `process` has none; \
         write `process:/path/to/program`, or give the program as the first of Command"
    )]
    ImageOfProcess(String),
    /// A process without a program.
    #[error("the service names no program; write `process:/path/to/program` in place of the image")]
    NoProgram,
}
