//! Why bytes from outside, or from the disk, were refused.
//!
//! Junk is a counted event, never an error that stops anything and never a panic. Each reason is a
//! plain word, because it is the label of a counter.

/// Why something was refused. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Junk {
    /// Longer than the limit for its kind.
    #[error("too large")]
    TooLarge,
    /// The version byte in front is not one that this version reads.
    #[error("unknown version")]
    UnknownVersion,
    /// The bytes do not decode, or some are left over.
    #[error("undecodable")]
    Undecodable,
    /// A causal clock that no honest writer makes: without its writer, unordered, or ahead of the
    /// write that carries it.
    #[error("bad clock")]
    BadClock,
    /// The signature was not made by the key beside it.
    #[error("bad signature")]
    BadSignature,
    /// An owned record that was written by a node other than its owner.
    #[error("not its owner")]
    NotOwner,
    /// The counter is more than [`crate::replica::LAMPORT_JUMP_MAX`] ahead of everything held: such
    /// a writer would push the fleet's counters to their end.
    #[error("too far ahead")]
    TooFarAhead,
    /// The record would hold more than [`crate::record::WRITES_MAX`] writes.
    #[error("too many writes")]
    TooManyWrites,
}

impl Junk {
    /// The reason as the label of a counter.
    pub fn as_str(self) -> &'static str {
        match self {
            Junk::TooLarge => "too_large",
            Junk::UnknownVersion => "unknown_version",
            Junk::Undecodable => "undecodable",
            Junk::BadClock => "bad_clock",
            Junk::BadSignature => "bad_signature",
            Junk::NotOwner => "not_owner",
            Junk::TooFarAhead => "too_far_ahead",
            Junk::TooManyWrites => "too_many_writes",
        }
    }
}
