//! What the transport dropped or refused, by reason. For display; nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use gossip::seal::SealJunk;
use nix::errno::Errno;

/// Why data from outside was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// A datagram that could not be opened.
    Unsealed(SealJunk),
    /// A datagram that arrived while the node was overloaded.
    Flood,
    /// A datagram that the system refused to send.
    Unsent,
    /// A datagram to a node whose key is not known, and that could not be met.
    Unmet,
    /// A handshake while too many others were in progress.
    HandshakeFlood,
    /// A handshake that was too late or invalid.
    Handshake,
    /// A peer that does not know the fleet's key.
    OtherFleet,
    /// A node that was removed from the fleet.
    Evicted,
    /// A machine whose join token this fleet does not have.
    UnknownToken,
    /// A machine from whose address too many wrong tokens came.
    TokenFlood,
    /// Another node than expected answered.
    OtherNode,
    /// A message larger than any may be, or one that stopped half way.
    Message,
    /// An invalid request.
    Request,
    /// A message while too many waited for the same peer.
    Queue,
    /// The system reported an error of the socket.
    Socket,
    /// A datagram that was sent but came back with an error: no listener, or no route.
    Returned,
}

impl Dropped {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Dropped::Unsealed(junk) => junk.as_str(),
            Dropped::Flood => "flood",
            Dropped::Unsent => "unsent",
            Dropped::Unmet => "unmet",
            Dropped::HandshakeFlood => "handshake_flood",
            Dropped::Handshake => "handshake",
            Dropped::OtherFleet => "other_fleet",
            Dropped::Evicted => "evicted",
            Dropped::UnknownToken => "unknown_token",
            Dropped::TokenFlood => "token_flood",
            Dropped::OtherNode => "other_node",
            Dropped::Message => "message",
            Dropped::Request => "request",
            Dropped::Queue => "queue",
            Dropped::Socket => "socket",
            Dropped::Returned => "returned",
        }
    }
}

/// How often each happened.
#[derive(Debug, Default)]
pub struct TransportCounters {
    counts: Mutex<BTreeMap<Dropped, u64>>,
    /// By the system's name for the error, so that the number of entries is bounded.
    unsent: Mutex<BTreeMap<String, u64>>,
    /// By the system's name for the error.
    returned: Mutex<BTreeMap<String, u64>>,
}

impl TransportCounters {
    /// Counts one.
    pub fn on_dropped(&self, reason: Dropped) {
        *self.lock().entry(reason).or_default() += 1;
    }

    /// Counts a datagram that the system refused to send.
    pub fn on_unsent(&self, error: &std::io::Error) {
        self.on_dropped(Dropped::Unsent);
        let name = match error.raw_os_error() {
            Some(code) => format!("{:?}", Errno::from_raw(code)),
            None => format!("{:?}", error.kind()),
        };
        let mut unsent = self.unsent.lock().expect("nothing panics while it counts");
        *unsent.entry(name.to_lowercase()).or_default() += 1;
    }

    /// Counts a datagram that came back with an error, unless it was a probe for a larger packet.
    pub fn on_returned(&self, error: Errno) {
        if error == Errno::EMSGSIZE {
            return;
        }
        self.on_dropped(Dropped::Returned);
        let mut returned = self.returned.lock().expect("nothing panics while it counts");
        *returned.entry(format!("{error:?}").to_lowercase()).or_default() += 1;
    }

    /// Datagrams that came back, by the system's error: `econnrefused` where there is no listener.
    pub fn returned(&self) -> BTreeMap<String, u64> {
        self.returned.lock().expect("nothing panics while it counts").clone()
    }

    /// Datagrams that the system refused to send, by its error: `eperm`, `enetunreach`.
    pub fn unsent(&self) -> BTreeMap<String, u64> {
        self.unsent.lock().expect("nothing panics while it counts").clone()
    }

    /// How often something was dropped for this reason.
    pub fn count(&self, reason: Dropped) -> u64 {
        self.lock().get(&reason).copied().unwrap_or(0)
    }

    /// All counters above zero.
    pub fn all(&self) -> BTreeMap<Dropped, u64> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Dropped, u64>> {
        self.counts.lock().expect("nothing panics while it counts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_is_counted_by_its_error() {
        let counters = TransportCounters::default();
        for code in [nix::libc::EPERM, nix::libc::ENETUNREACH, nix::libc::EPERM] {
            counters.on_unsent(&std::io::Error::from_raw_os_error(code));
        }
        counters.on_unsent(&std::io::ErrorKind::WouldBlock.into());
        assert_eq!(counters.count(Dropped::Unsent), 4);
        let expected = [("enetunreach", 1), ("eperm", 2), ("wouldblock", 1)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(counters.unsent(), expected.into());
    }
}
