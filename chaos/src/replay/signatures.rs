//! The signatures of a history, used instead of the node's key. Each is returned once, in order,
//! and must be the signature of the message that is signed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crdt_state::{Ed25519Verifier, PublicKey, Signature, Signer, Verifier};

/// Signs with the signatures of the history, in order.
#[derive(Clone)]
pub(super) struct Signatures(Arc<Mutex<Expected>>);

struct Expected {
    key: PublicKey,
    next: VecDeque<Signature>,
    difference: Option<String>,
}

impl Signatures {
    pub(super) fn new(key: PublicKey) -> Signatures {
        Signatures(Arc::new(Mutex::new(Expected { key, next: VecDeque::new(), difference: None })))
    }

    /// These signatures belong to the step that follows.
    pub(super) fn expect(&self, signatures: Vec<Signature>) {
        self.0.lock().expect("one thread").next.extend(signatures);
    }

    /// The first difference between what was signed and the history, if there is one.
    pub(super) fn difference(&self) -> Option<String> {
        let mut expected = self.0.lock().expect("one thread");
        let left = std::mem::take(&mut expected.next).len();
        let less = (left > 0).then(|| format!("{left} records fewer are signed"));
        expected.difference.take().or(less)
    }
}

impl Signer for Signatures {
    fn public_key(&self) -> PublicKey {
        self.0.lock().expect("one thread").key
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let mut expected = self.0.lock().expect("one thread");
        let (key, next) = (expected.key, expected.next.pop_front());
        match next {
            Some(signature) if Ed25519Verifier.verify(&key, message, &signature) => signature,
            Some(signature) => {
                expected.difference = Some("another record is signed".to_owned());
                signature
            }
            None => {
                expected.difference = Some("more records are signed".to_owned());
                Signature([0; 64])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::Ed25519Signer;

    #[test]
    fn what_is_signed_otherwise_is_found() {
        let node = Ed25519Signer::from_secret(&[7; 32]);
        let expecting = |messages: &[&[u8]]| {
            let signatures = Signatures::new(node.public_key());
            signatures.expect(messages.iter().map(|message| node.sign(message)).collect());
            signatures
        };
        let signed = |expected: &[&[u8]], made: &[&[u8]]| {
            let signatures = expecting(expected);
            made.iter().for_each(|message| {
                signatures.sign(message);
            });
            signatures.difference()
        };
        assert_eq!(signed(&[b"a", b"b"], &[b"a", b"b"]), None);
        for made in [&[b"a" as &[u8]][..], &[b"a", b"c"], &[b"a", b"b", b"c"], &[b"b", b"a"]] {
            assert!(signed(&[b"a", b"b"], made).is_some(), "{made:?}");
        }
    }
}
