//! What can go wrong with links, and about whom.
//!
//! Nothing here is fatal: every part of a plan that could not be applied is reported, the rest is
//! applied, and the next application tries again.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;

use crdt_state::task::Run;
use crdt_state::{NetworkId, NodeId};
use overlay::plan::PATH_NETWORK;

use crate::netlink::Refusal;

/// Why this machine cannot take part in any network, as a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub String);

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The machine itself.
    Host,
    /// A network on this node.
    Network(NetworkId),
    /// Another node on a network.
    Peer(NetworkId, NodeId),
    /// A task on all its networks.
    Task(Run),
    /// A task on one network.
    Interface(NetworkId, Run),
}

impl Subject {
    /// The network that it is about.
    fn network(self) -> Option<NetworkId> {
        match self {
            Subject::Host | Subject::Task(_) => None,
            Subject::Network(id) | Subject::Peer(id, _) | Subject::Interface(id, _) => Some(id),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Host => write!(f, "this machine"),
            Subject::Network(PATH_NETWORK) => write!(f, "the probes of paths"),
            Subject::Peer(PATH_NETWORK, node) => write!(f, "the probes of the path to node {node}"),
            Subject::Network(network) => write!(f, "network {network}"),
            Subject::Peer(network, node) => write!(f, "network {network}, node {node}"),
            Subject::Task(run) => write!(f, "task {}.{}", run.task, run.attempt),
            Subject::Interface(network, run) => {
                write!(f, "network {network}, task {}.{}", run.task, run.attempt)
            }
        }
    }
}

/// Something that could not be done.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: cannot {action}: {cause}")]
pub struct LinkError {
    /// About whom.
    pub subject: Subject,
    /// What should have been done.
    pub action: String,
    /// Why it was not.
    pub cause: Cause,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The kernel refused a request.
    #[error(transparent)]
    Kernel(#[from] Refusal),
    /// A file or namespace could not be used.
    #[error(transparent)]
    System(#[from] io::Error),
    /// No link has the address that VXLAN packets are to leave from.
    #[error("no link of this machine has the address {0}; start the node with an address it has")]
    NoUnderlay(IpAddr),
    /// The network is encrypted, and its packets must not go elsewhere.
    #[error("the tunnel of this node is not there, and nothing is sent unencrypted")]
    NoTunnel,
    /// Some nodes are reached through the tunnel only.
    #[error("the tunnel of this node is not there, and VXLAN does not reach some nodes")]
    NoDetour,
    /// Over IPv6, packets cannot be split below.
    #[error(
        "the network below takes only {has} bytes, and networks over IPv6 need {needs}; raise the \
         MTU or start the node with an IPv4 address"
    )]
    SmallUnderlay {
        /// The largest packet of the network below.
        has: u32,
        /// The smallest that would do.
        needs: u32,
    },
    /// One VNI can exist once per host namespace.
    #[error("another VXLAN device of this machine already has VNI {0}; remove that device")]
    VniTaken(u32),
    /// A program has a socket at the port of VXLAN.
    #[error(
        "another program of this machine has UDP port 4789 (`ss -lunp 'sport = :4789'` names it); \
         stop it, and packets pass within a second"
    )]
    PortTaken,
    /// The network is not in the plan that was applied last.
    #[error("the network is not set up on this node yet")]
    NoNetwork,
    /// Somebody unmounted the namespace of a task that runs in it.
    #[error("the task's network namespace was removed by somebody else; restart the task")]
    NoNamespace,
}

/// What an application did and what it could not do.
#[derive(Debug, Default)]
#[must_use = "what could not be done is said only here"]
pub struct Applied {
    /// How many changes were made in the kernel; 0: everything was there.
    pub changes: usize,
    /// The networks that were changed; without those of which only a task's own namespace was.
    pub networks: BTreeSet<NetworkId>,
    /// What could not be done.
    pub failures: Vec<LinkError>,
}

impl Applied {
    /// Counts a change, or notes why it could not be made.
    pub(crate) fn note(
        &mut self,
        subject: Subject,
        action: &str,
        result: Result<usize, impl Into<Cause>>,
    ) {
        match result {
            Ok(0) => {}
            Ok(changes) => {
                self.changes += changes;
                self.networks.extend(subject.network());
            }
            Err(cause) => self.fail(subject, action, cause),
        }
    }

    /// The value, or `None` with a note why there is none.
    pub(crate) fn value<T>(
        &mut self,
        subject: Subject,
        action: &str,
        result: Result<T, impl Into<Cause>>,
    ) -> Option<T> {
        result.map_err(|cause| self.fail(subject, action, cause)).ok()
    }

    pub(crate) fn fail(&mut self, subject: Subject, action: &str, cause: impl Into<Cause>) {
        self.failures.push(LinkError { subject, action: action.into(), cause: cause.into() });
    }
}
