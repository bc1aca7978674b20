//! The reasons why gossip must be called again.
//!
//! The only list of these reasons; [`crate::Gossip::timers`] says when each is due. None of them is
//! ever a reason to change a record.

/// A reason why gossip acts by time alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GossipTimer {
    /// A member is probed, others are asked to probe it too, or an open probe ends.
    ProbeDue,
    /// The time in which a suspect may refute has ended.
    VerdictDue,
    /// Changes of the membership are pushed.
    PushDue,
    /// A member is told a claim about it, so that it can refute the claim.
    CaseDue,
    /// Unreachable members are called, and this node checks whether it is an island.
    AnnounceDue,
    /// A node that leaves repeats its good-bye.
    GoodbyeDue,
    /// Records are compared with those of a random member.
    CompareDue,
    /// Changed records are pushed.
    RumourDue,
    /// A seed address is tried again.
    SeedDue,
}

impl GossipTimer {
    /// The reason in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            GossipTimer::ProbeDue => "probe a member",
            GossipTimer::VerdictDue => "end the time of a suspect",
            GossipTimer::PushDue => "push changes of the membership",
            GossipTimer::CaseDue => "ask a member about what is said of it",
            GossipTimer::AnnounceDue => "call unreachable members",
            GossipTimer::GoodbyeDue => "repeat the good-bye",
            GossipTimer::CompareDue => "compare records with a member",
            GossipTimer::RumourDue => "push changed records",
            GossipTimer::SeedDue => "try an address to join by",
        }
    }
}
