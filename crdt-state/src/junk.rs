//! Why bytes from outside, or from the disk, were not taken in.
//!
//! Junk is a counted event, never an error that stops anything and never a panic. A reason is a
//! plain word: it is the label of a counter.

/// Why something was not taken in. Nothing was changed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Junk {
    /// Longer than this kind of thing may be.
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
    /// The signature is not that of the key beside it.
    #[error("bad signature")]
    BadSignature,
    /// An owned record written by another than its owner.
    #[error("not its owner")]
    NotOwner,
    /// Its counter is more than [`crate::replica::LAMPORT_JUMP_MAX`] ahead of everything held: a
    /// writer that would push the fleet's counters to their end.
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
