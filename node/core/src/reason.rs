//! Reasons: the closed list of answers to "why (not) here".
//!
//! Every choice of the planner carries a reason; `why` prints these and nothing else. Codes are
//! stable.

use std::fmt;

use crdt_state::{NodeId, ServiceId};

/// Why a node cannot take a task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeReason {
    /// Not heard for longer than the failover delay.
    Unreachable,
    /// An operator drains it.
    Drained,
    /// An operator paused it: it keeps what it has.
    Paused,
    /// The image has no build for it: the node's architecture, and the platforms of the builds.
    Platform(String, String),
    /// It reports, with this text, that it cannot start tasks: it keeps what runs.
    Unable(String),
    /// It takes part in no network of the fleet, with this reason.
    NoNetworks(String),
    /// It takes part in no encrypted network, with this reason.
    NoTunnel(String),
    /// It holds a volume of the service, but the volume is not on its disk.
    VolumeMissing(String),
    /// It holds a volume of the service that operators gave up.
    VolumeGivenUp(String),
    /// A volume of the service is elsewhere: its name, and the host name of its holder.
    VolumeElsewhere(String, String),
    /// The node does not satisfy a constraint.
    Constraint(String),
    /// A constraint that this version cannot read.
    UnreadableConstraint(String),
    /// An affinity does not fit, and why.
    Affinity(String, String),
    /// Not enough memory is free: needs, has free (bytes).
    Memory(u64, u64),
    /// Not enough CPU is free: needs, has free (billionths of a core).
    Cpu(u64, u64),
    /// Not enough of a countable resource is free: name, needs, has free.
    Generic(String, u64, u64),
    /// It has nothing of a countable resource: name.
    NoGeneric(String),
    /// A task on the node has the host port.
    HostPort(u16),
    /// It has as many tasks of this service as `replicas-max-per-node` allows.
    MaxPerNode(u32),
}

impl NodeReason {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            NodeReason::Unreachable => "unreachable",
            NodeReason::Drained => "drained",
            NodeReason::Paused => "paused",
            NodeReason::Platform(..) => "platform",
            NodeReason::Unable(_) => "unable",
            NodeReason::NoNetworks(_) => "no-networks",
            NodeReason::NoTunnel(_) => "no-tunnel",
            NodeReason::VolumeMissing(_) => "volume-missing",
            NodeReason::VolumeGivenUp(_) => "volume-given-up",
            NodeReason::VolumeElsewhere(..) => "volume-elsewhere",
            NodeReason::Constraint(_) => "constraint",
            NodeReason::UnreadableConstraint(_) => "unreadable-constraint",
            NodeReason::Affinity(..) => "affinity",
            NodeReason::Memory(..) => "memory",
            NodeReason::Cpu(..) => "cpu",
            NodeReason::Generic(..) | NodeReason::NoGeneric(_) => "generic-resource",
            NodeReason::HostPort(_) => "host-port",
            NodeReason::MaxPerNode(_) => "max-per-node",
        }
    }
}

impl fmt::Display for NodeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeReason::Unreachable => {
                f.write_str("unreachable for longer than the failover delay")
            }
            NodeReason::Drained => f.write_str("drained"),
            NodeReason::Paused => f.write_str("paused: it keeps what it has and takes no more"),
            NodeReason::Platform(arch, builds) => {
                write!(f, "{arch}: the image has no {arch} build (it has {builds})")
            }
            NodeReason::Unable(text) => {
                write!(f, "cannot start tasks now: {text}; it keeps what runs")
            }
            NodeReason::NoNetworks(refusal) => write!(f, "makes no networks: {refusal}"),
            NodeReason::NoTunnel(refusal) => write!(f, "encrypts no networks: {refusal}"),
            NodeReason::VolumeMissing(name) => {
                write!(f, "its volume {name} is not on its disk: not mounted, or lost")
            }
            NodeReason::VolumeGivenUp(name) => {
                write!(f, "its volume {name} was given up and is still there")
            }
            NodeReason::VolumeElsewhere(name, holder) => {
                write!(f, "volume {name} is on {holder}")
            }
            NodeReason::Constraint(text) => write!(f, "constraint {text} does not fit"),
            NodeReason::UnreadableConstraint(text) => {
                write!(f, "constraint {text} is not understood by this version")
            }
            NodeReason::Affinity(text, why) => write!(f, "affinity {text}: {why}"),
            NodeReason::Memory(needs, free) => {
                write!(f, "needs {needs} bytes of memory, {free} are not set aside")
            }
            NodeReason::Cpu(needs, free) => {
                write!(
                    f,
                    "needs {} thousandths of a core, {} are not set aside",
                    needs / 1_000_000,
                    free / 1_000_000
                )
            }
            NodeReason::Generic(name, needs, free) => {
                write!(f, "needs {needs} of {name}, {free} are not set aside")
            }
            NodeReason::NoGeneric(name) => write!(f, "has no {name}"),
            NodeReason::HostPort(port) => write!(f, "host port {port} is taken"),
            NodeReason::MaxPerNode(max) => {
                write!(f, "has {max} of this service, its most per node")
            }
        }
    }
}

/// Why a slot is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Its owner has it already, and its share allows it to keep it.
    Held,
    /// No node had it: it was assigned by rendezvous hashing within the shares.
    Assigned,
    /// Another node has it and may not keep it, usually because it has more than its share.
    Moved {
        /// The node that runs it until the owner runs it.
        from: NodeId,
    },
    /// A global service has one task on each node.
    OnEveryNode,
    /// No node may take it, and this node runs it: it goes on unchanged until a node may take it.
    Stays,
}

impl Choice {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Choice::Held => "held",
            Choice::Assigned => "dealt",
            Choice::Moved { .. } => "moved",
            Choice::OnEveryNode => "on-every-node",
            Choice::Stays => "stays",
        }
    }
}

/// Why a slot has no owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplaced {
    /// No node can take a task of this service at all.
    NoNode,
    /// The nodes that can take one are full.
    Full,
    /// A volume of the slot is on this node, which cannot take the slot.
    Volume(NodeId),
    /// There would be a place for it without the tasks of this service, whose priority is higher.
    Preempted(ServiceId),
    /// The slot stays with this node, which is unreachable.
    Holder(NodeId),
    /// Too few of the service's anchors are in view to say that nobody else runs the slot.
    NoMajority,
    /// The slot of a job is complete: its task ended with code 0.
    Complete,
    /// The task of a job's slot failed, and the restart policy does not start it again.
    Failed,
    /// As many tasks of a job run as may run at the same time.
    Concurrent(u32),
    /// No run of the job's schedule is due.
    NotDue,
    /// A task of a job runs on this node, which is drained: it ends there before it begins elsewhere.
    Leaving(NodeId),
}

impl Unplaced {
    /// Is it a reason that only slots of jobs have?
    pub fn is_of_job(self) -> bool {
        matches!(
            self,
            Unplaced::Complete
                | Unplaced::Failed
                | Unplaced::Concurrent(_)
                | Unplaced::NotDue
                | Unplaced::Leaving(_)
        )
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Unplaced::NoNode => "no-node",
            Unplaced::Full => "full",
            Unplaced::Volume(_) => "volume",
            Unplaced::Preempted(_) => "preempted",
            Unplaced::Holder(_) => "stays-with",
            Unplaced::NoMajority => "no-majority",
            Unplaced::Complete => "complete",
            Unplaced::Failed => "failed",
            Unplaced::Concurrent(_) => "max-concurrent",
            Unplaced::NotDue => "not-due",
            Unplaced::Leaving(_) => "leaving",
        }
    }
}

/// Why a service that is scaled by its load has as many tasks as it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleReason {
    /// No task has been measured for long enough.
    NoFigures,
    /// The use is near its target.
    Fits,
    /// More are wanted, and no more are allowed.
    AtMax,
    /// Fewer would do, and no fewer are allowed.
    AtMin,
    /// More are wanted, not yet for long enough.
    Rising,
    /// Fewer would do, not yet for long enough.
    Falling,
    /// Fewer might do, but a node that has tasks is silent.
    Silent,
    /// Fewer would do, but tasks are being replaced.
    Updating,
}

impl ScaleReason {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            ScaleReason::NoFigures => "no-figures",
            ScaleReason::Fits => "fits",
            ScaleReason::AtMax => "at-max",
            ScaleReason::AtMin => "at-min",
            ScaleReason::Rising => "rising",
            ScaleReason::Falling => "falling",
            ScaleReason::Silent => "silent-node",
            ScaleReason::Updating => "updating",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Codes of `why` that are made where a row is made.
    const OTHER_CODES: [&str; 1] = ["share"];

    #[test]
    fn every_code_is_in_the_docs_and_no_other_is() {
        let source = include_str!("reason.rs").split("#[cfg(test)]").next().expect("the code");
        let code = |line: &'static str| line.trim().split_once("=> \"")?.1.strip_suffix("\",");
        let mut codes: BTreeSet<&str> = source.lines().filter_map(code).collect();
        assert!(codes.contains("unreachable") && codes.contains("no-node"), "{codes:?}");
        codes.extend(OTHER_CODES);
        let docs = include_str!("../../../docs/reasons.md");
        let row = |line: &'static str| line.strip_prefix("| `")?.split_once("` |").map(|row| row.0);
        assert_eq!(docs.lines().filter_map(row).collect::<BTreeSet<_>>(), codes);
    }
}
