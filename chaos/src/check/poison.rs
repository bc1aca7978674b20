//! I13: a poison record harms only itself: nobody reads it, and everybody who holds it passes it on
//! as it was signed. All other invariants check that nothing else is harmed while poison is there.
//!
//! The checker has a simple rule of its own for what may be read, and does not rely on the node's.

use crdt_state::Digest;
use crdt_state::service::Service;
use crdt_state::spec::Scale;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// Larger values are absurd: a grace period of a century, and names longer than Docker's limit.
const GRACE_MS_MAX: u64 = 3_155_760_000_000;
const REPLICAS_MAX: u32 = 100_000;
const NAME_CHARS_MAX: usize = 63;

/// Could an operator have written what a machine reads of this service?
pub fn is_sound(machine: MachineNo, service: &Service) -> Verdict {
    let is_absurd = [
        ("name", !(1..=NAME_CHARS_MAX).contains(&service.name.len())),
        ("grace", service.template.stop_grace_ms > GRACE_MS_MAX),
        ("memory", service.template.reservations.memory_bytes > i64::MAX as u64),
        ("ports", service.endpoint.ports.iter().any(|port| port.protocol.is_empty())),
        (
            "scale",
            matches!(service.scale, Scale::Replicated { replicas } if replicas > REPLICAS_MAX),
        ),
    ];
    match is_absurd.iter().find(|(_, is_absurd)| *is_absurd) {
        None => Ok(()),
        Some((what, _)) => {
            let detail =
                format!("n{machine} reads a service with an absurd {what}: {}", service.id);
            Err(Violation::new(Invariant::I13Poison, detail))
        }
    }
}

/// Compares a poison record as its writer last signed it with the machine's copy. `is_later`:
/// somebody has written over it since.
pub fn is_passed_on(machine: MachineNo, signed: Digest, held: Held) -> Verdict {
    match held {
        Held { digest: None, .. } | Held { is_read: true, is_later: true, .. } => Ok(()),
        Held { is_read: true, .. } => {
            let detail = format!("n{machine} reads the poison record {signed}");
            Err(Violation::new(Invariant::I13Poison, detail))
        }
        Held { digest: Some(digest), is_later, .. } if digest == signed || is_later => Ok(()),
        Held { digest: Some(digest), .. } => {
            let detail = format!("n{machine} holds the poison record {signed} as {digest}");
            Err(Violation::new(Invariant::I13Poison, detail))
        }
    }
}

/// A machine's copy of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its digest there, if the machine holds it.
    pub digest: Option<Digest>,
    /// Is it read there?
    pub is_read: bool,
    /// Does it hold writes other than those that were signed?
    pub is_later: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poison_record_that_is_read_or_changed_is_found() {
        let (signed, other) = (Digest([1; 16]), Digest([2; 16]));
        let held = |digest, is_read, is_later| Held { digest, is_read, is_later };
        for fine in [
            held(None, false, false),
            held(Some(signed), false, false),
            held(Some(other), false, true),
            held(Some(other), true, true),
        ] {
            assert_eq!(is_passed_on(0, signed, fine), Ok(()), "{fine:?}");
        }
        assert!(is_passed_on(0, signed, held(Some(signed), true, false)).is_err());
        assert!(is_passed_on(0, signed, held(Some(other), false, false)).is_err());
    }
}
