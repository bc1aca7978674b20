//! Addresses to join that do not answer or refuse, with the reason: shown to operators who ask why
//! this node is alone. Nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Addresses at most, as many as gossip contacts; further ones are not remembered.
const ADDRESSES_MAX: usize = 64;

/// By address or name, until a node answers there.
#[derive(Debug, Default)]
pub(super) struct Refused {
    reasons: Mutex<BTreeMap<String, String>>,
}

impl Refused {
    /// No node answers there, or the node refuses.
    pub(super) fn note(&self, address: impl ToString, why: impl ToString) {
        let (address, mut reasons) = (address.to_string(), self.lock());
        if reasons.len() < ADDRESSES_MAX || reasons.contains_key(&address) {
            reasons.insert(address, why.to_string());
        }
    }

    /// A node answered there.
    pub(super) fn forget(&self, address: impl ToString) {
        self.lock().remove(&address.to_string());
    }

    /// Everything, by address.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.reasons.lock().expect("nothing panics while it notes a reason")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_until_somebody_answers_and_they_are_bounded() {
        let refused = Refused::default();
        refused.note("a", "silence");
        refused.note("a", "another fleet key");
        assert_eq!(refused.all().into_iter().collect::<Vec<_>>().len(), 1);
        (0..200).for_each(|n| refused.note(n, "silence"));
        assert_eq!(refused.all().len(), ADDRESSES_MAX);
        refused.forget("a");
        assert!(!refused.all().contains_key("a"));
    }
}
