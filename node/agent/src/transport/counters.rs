//! What the transport dropped or refused, by reason. Shown, and nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use gossip::seal::SealJunk;
use nix::errno::Errno;

/// Why something from outside came no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// A datagram that could not be opened.
    Unsealed(SealJunk),
    /// A datagram while the node had too much to do.
    Flood,
    /// A datagram that the system did not take.
    Unsent,
    /// A handshake while too many others were under way.
    HandshakeFlood,
    /// A handshake that did not end in time or in order.
    Handshake,
    /// A peer that does not know the fleet's key.
    OtherFleet,
    /// Another node than expected answered.
    OtherNode,
    /// A message larger than any may be, or one that stopped half way.
    Message,
    /// A request that makes no sense.
    Request,
    /// A message while too many waited for the same peer.
    Queue,
    /// The system reported an error of the socket.
    Socket,
    /// A datagram that was sent, and nobody listens there, or no way leads there.
    Returned,
}

impl Dropped {
    /// For metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Dropped::Unsealed(junk) => junk.as_str(),
            Dropped::Flood => "flood",
            Dropped::Unsent => "unsent",
            Dropped::HandshakeFlood => "handshake_flood",
            Dropped::Handshake => "handshake",
            Dropped::OtherFleet => "other_fleet",
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
    /// By the system's name for the error: at most as many as there are.
    unsent: Mutex<BTreeMap<String, u64>>,
    /// Likewise.
    returned: Mutex<BTreeMap<String, u64>>,
}

impl TransportCounters {
    /// Counts one.
    pub fn on_dropped(&self, reason: Dropped) {
        *self.lock().entry(reason).or_default() += 1;
    }

    /// Counts a datagram that the system did not take.
    pub fn on_unsent(&self, error: &std::io::Error) {
        self.on_dropped(Dropped::Unsent);
        let name = match error.raw_os_error() {
            Some(code) => format!("{:?}", Errno::from_raw(code)),
            None => format!("{:?}", error.kind()),
        };
        let mut unsent = self.unsent.lock().expect("nothing panics while it counts");
        *unsent.entry(name.to_lowercase()).or_default() += 1;
    }

    /// Counts a datagram that came back, unless it was a probe for a larger packet.
    pub fn on_returned(&self, error: Errno) {
        if error == Errno::EMSGSIZE {
            return;
        }
        self.on_dropped(Dropped::Returned);
        let mut returned = self.returned.lock().expect("nothing panics while it counts");
        *returned.entry(format!("{error:?}").to_lowercase()).or_default() += 1;
    }

    /// Datagrams that came back, by the system's error: `econnrefused` where nobody listens.
    pub fn returned(&self) -> BTreeMap<String, u64> {
        self.returned.lock().expect("nothing panics while it counts").clone()
    }

    /// Datagrams that the system did not take, by its error: `eperm`, `enetunreach`.
    pub fn unsent(&self) -> BTreeMap<String, u64> {
        self.unsent.lock().expect("nothing panics while it counts").clone()
    }

    /// How often this happened.
    pub fn count(&self, reason: Dropped) -> u64 {
        self.lock().get(&reason).copied().unwrap_or(0)
    }

    /// Everything that happened at least once.
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
