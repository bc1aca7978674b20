//! Seals bytes so that they can be read with the key alone, and only in the place that they were sealed
//! for.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

const NONCE_BYTES: usize = 24;

/// A key that seals any number of messages: every one has a random nonce.
#[derive(Clone)]
pub struct SealingKey(Arc<XChaCha20Poly1305>);

impl SealingKey {
    /// From 32 secret bytes.
    pub fn new(secret: &[u8; 32]) -> SealingKey {
        SealingKey(Arc::new(XChaCha20Poly1305::new(secret.into())))
    }

    /// The nonce and the sealed bytes, bound to `place`.
    pub(crate) fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("random bytes made the key a while ago");
        let payload = Payload { msg: plain, aad: place };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).expect("it is no gigabytes");
        [nonce.as_slice(), &sealed].concat()
    }

    /// `None`: it was sealed with another key, for another place, or is damaged.
    pub(crate) fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: place };
        self.0.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}
