//! Which datagrams the seal must reject, and which it must accept.

use super::*;
use crdt_state::signature::{Ed25519Signer, Signer};
use proptest::prelude::*;

fn public(seed: u8) -> PublicKey {
    Ed25519Signer::from_secret(&[seed; 32]).public_key()
}

fn node(seed: u8) -> NodeId {
    NodeId::of(&public(seed))
}

/// The seal of a node that knows nodes 1, 2 and 3.
fn seal_of(seed: u8, session: u64) -> Seal {
    let mut seal = Seal::new(&public(seed), [seed; 32], session);
    (1..=3).for_each(|other| seal.acquaint(public(other)));
    seal
}

/// From node 1 to node 2.
struct Link {
    from: Seal,
    to: Seal,
}

impl Link {
    fn new() -> Link {
        Link { from: seal_of(1, 7), to: seal_of(2, 8) }
    }

    fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.from.seal(node(2), plain).expect("node 2 is known")
    }

    fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, SealJunk> {
        let opened = self.to.open(sealed)?;
        assert_eq!(opened.sender, node(1));
        Ok(opened.plain)
    }
}

#[test]
fn a_sealed_datagram_opens_and_is_told_from_quic() {
    let mut link = Link::new();
    for plain in [&b""[..], b"x", &[9; 1_180]] {
        let sealed = link.seal(plain);
        assert_eq!(sealed.len(), plain.len() + SEAL_BYTES);
        assert!(is_sealed(&sealed));
        assert_eq!(link.open(&sealed), Ok(plain.to_vec()));
    }
    assert!(!is_sealed(&[0x40]) && !is_sealed(&[0xc3]) && !is_sealed(&[]));
}

#[test]
fn a_datagram_opens_once() {
    let mut link = Link::new();
    let first = link.seal(b"first");
    let second = link.seal(b"second");
    assert!(link.open(&first).is_ok());
    assert!(link.open(&second).is_ok());
    assert_eq!(link.open(&first), Err(SealJunk::Replayed));
    assert_eq!(link.open(&second), Err(SealJunk::Replayed));
}

#[test]
fn datagrams_that_overtake_each_other_all_open() {
    let mut link = Link::new();
    let mut sealed: Vec<Vec<u8>> = (0..100u8).map(|n| link.seal(&[n])).collect();
    assert!(link.open(&sealed.remove(0)).is_ok());
    sealed.reverse();
    assert!(sealed.iter().all(|datagram| link.open(datagram).is_ok()));
}

#[test]
fn a_truncated_datagram_is_refused_wherever_it_was_cut() {
    let mut link = Link::new();
    let sealed = link.seal(b"a few words");
    for cut in 0..sealed.len() {
        assert!(link.open(&sealed[..cut]).is_err(), "cut at {cut}");
    }
    assert!(link.open(&sealed).is_ok(), "the refused ones used nothing up");
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let mut link = Link::new();
    let sealed = link.seal(b"a few words");
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(link.open(&flipped).is_err(), "bit {bit}");
    }
    assert!(link.open(&sealed).is_ok(), "the refused ones used nothing up");
}

#[test]
fn nobody_seals_in_the_name_of_another_and_nobody_else_opens() {
    let (mut one, mut two, mut three) = (seal_of(1, 7), seal_of(2, 8), seal_of(3, 9));
    let sealed = one.seal(node(2), b"for node 2").expect("known");
    assert_eq!(three.open(&sealed), Err(SealJunk::Forged), "it is for another node");
    // A member that puts the id of another one on what it sealed itself.
    let mut forged = three.seal(node(2), b"I am node 1").expect("known");
    forged[1..=SENDER_BYTES].copy_from_slice(&node(1).0[..SENDER_BYTES]);
    assert_eq!(two.open(&forged), Err(SealJunk::Forged));
    // Nor can it send back what it got as if it came from elsewhere.
    let answer = two.seal(node(1), b"for node 1").expect("known");
    assert_eq!(two.open(&answer), Err(SealJunk::Forged));
    assert_eq!(two.open(&sealed).map(|opened| opened.sender), Ok(node(1)));
}

#[test]
fn a_node_that_is_not_known_is_not_heard_and_sent_nothing() {
    let mut stranger = seal_of(9, 7);
    let mut link = Link::new();
    let sealed = stranger.seal(node(2), b"hello").expect("known to the stranger");
    assert_eq!(link.to.open(&sealed), Err(SealJunk::UnknownSender));
    assert_eq!(link.to.seal(node(9), b"hello"), None);
    link.to.acquaint(public(9));
    assert_eq!(link.to.open(&sealed).map(|opened| opened.sender), Ok(node(9)));
}

#[test]
fn a_node_whose_key_is_weak_is_sent_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut seal = seal_of(1, 7);
    seal.acquaint(PublicKey(identity));
    assert_eq!(seal.seal(NodeId::of(&PublicKey(identity)), b"hello"), None);
}

#[test]
fn the_table_of_sessions_is_bounded_and_drops_the_most_silent() {
    let mut link = Link::new();
    let replay = link.seal(b"0");
    assert!(link.open(&replay).is_ok());
    for session in 100..100 + SESSIONS_MAX as u64 {
        let sealed = seal_of(1, session).seal(node(2), b"x").expect("known");
        assert!(link.open(&sealed).is_ok());
        if session % 100 == 0 {
            let sealed = link.seal(b"still here");
            assert!(link.open(&sealed).is_ok());
        }
    }
    assert_eq!(link.to.sessions.len(), SESSIONS_MAX);
    assert_eq!(link.open(&replay), Err(SealJunk::Replayed), "one that speaks is kept");
}

#[test]
fn a_session_begins_at_the_first_datagram_that_is_heard() {
    let mut link = Link::new();
    let recorded = link.seal(b"before the opener started");
    let now = link.seal(b"now");
    assert!(link.open(&now).is_ok());
    assert_eq!(link.open(&recorded), Err(SealJunk::Replayed));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_open(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut link = Link::new();
        prop_assert!(link.open(&bytes).is_err());
        if bytes.len() > SENDER_BYTES {
            bytes[0] = VERSION;
            bytes[1..=SENDER_BYTES].copy_from_slice(&node(1).0[..SENDER_BYTES]);
            prop_assert!(link.open(&bytes).is_err());
        }
    }
}
