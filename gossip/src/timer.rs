//! Why gossip wants to be called again.
//!
//! The one list of the reasons; [`crate::Gossip::timers`] says when each is due. None of them is
//! ever a reason to touch a record.

/// A reason for which time alone makes gossip act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GossipTimer {
    /// A member is probed, an open probe asks others for help, or it is over.
    ProbeDue,
    /// The time in which a suspect may refute is over.
    VerdictDue,
    /// Changes of the membership are pushed.
    PushDue,
    /// A member of whom something is said is asked about it.
    CaseDue,
    /// Unreachable members are called, and this node asks itself whether it is alone.
    AnnounceDue,
    /// A node that leaves repeats its good-bye.
    GoodbyeDue,
    /// Records are compared with those of a random member.
    CompareDue,
    /// Changed records are pushed.
    RumourDue,
    /// An address to join by is tried again.
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
