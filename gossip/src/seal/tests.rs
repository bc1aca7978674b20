//! Which datagrams the seal must reject, and which it must accept.

use super::*;
use proptest::prelude::*;

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];

fn pair() -> (Sealer, Opener) {
    let keys = KeyRing::new(OLD);
    (Sealer::new(&keys, 7), Opener::new(keys))
}

#[test]
fn a_sealed_datagram_opens_and_is_told_from_quic() {
    let (mut sealer, mut opener) = pair();
    for plain in [&b""[..], b"x", &[9; 1_180]] {
        let sealed = sealer.seal(plain);
        assert_eq!(sealed.len(), plain.len() + SEAL_BYTES);
        assert!(is_sealed(&sealed));
        assert_eq!(opener.open(&sealed).map(|opened| opened.plain), Ok(plain.to_vec()));
    }
    assert!(!is_sealed(&[0x40]) && !is_sealed(&[0xc3]) && !is_sealed(&[]));
}

#[test]
fn a_datagram_opens_once() {
    let (mut sealer, mut opener) = pair();
    let first = sealer.seal(b"first");
    let second = sealer.seal(b"second");
    assert!(opener.open(&first).is_ok());
    assert!(opener.open(&second).is_ok());
    assert_eq!(opener.open(&first), Err(SealJunk::Replayed));
    assert_eq!(opener.open(&second), Err(SealJunk::Replayed));
}

#[test]
fn datagrams_that_overtake_each_other_all_open() {
    let (mut sealer, mut opener) = pair();
    let mut sealed: Vec<Vec<u8>> = (0..100u8).map(|n| sealer.seal(&[n])).collect();
    assert!(opener.open(&sealed.remove(0)).is_ok());
    sealed.reverse();
    assert!(sealed.iter().all(|datagram| opener.open(datagram).is_ok()));
}

#[test]
fn a_truncated_datagram_is_refused_wherever_it_was_cut() {
    let (mut sealer, mut opener) = pair();
    let sealed = sealer.seal(b"a few words");
    for cut in 0..sealed.len() {
        assert!(opener.open(&sealed[..cut]).is_err(), "cut at {cut}");
    }
    assert!(opener.open(&sealed).is_ok(), "the refused ones used nothing up");
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let (mut sealer, mut opener) = pair();
    let sealed = sealer.seal(b"a few words");
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(opener.open(&flipped).is_err(), "bit {bit}");
    }
    assert!(opener.open(&sealed).is_ok(), "the refused ones used nothing up");
}

#[test]
fn a_datagram_of_another_fleet_is_refused() {
    let mut foreign = Sealer::new(&KeyRing::new(NEW), 7);
    let (_, mut opener) = pair();
    assert_eq!(opener.open(&foreign.seal(b"hello")), Err(SealJunk::UnknownKey));
}

#[test]
fn a_key_is_rotated_without_a_pause() {
    let old = KeyRing::new(OLD);
    let both = KeyRing::new(OLD).with(NEW);
    let turned = KeyRing::new(NEW).with(OLD);
    let mut sealer = Sealer::new(&old, 7);
    let mut opener = Opener::new(old);
    let pass = |sealer: &mut Sealer, opener: &mut Opener| {
        assert!(opener.open(&sealer.seal(b"hello")).is_ok());
    };
    pass(&mut sealer, &mut opener);
    opener.set_keys(both);
    pass(&mut sealer, &mut opener);
    sealer.set_keys(&turned);
    let late = sealer.seal(b"before the old key is dropped");
    pass(&mut sealer, &mut opener);
    opener.set_keys(KeyRing::new(NEW));
    pass(&mut sealer, &mut opener);
    assert!(opener.open(&late).is_ok());
    let mut left_behind = Sealer::new(&KeyRing::new(OLD), 8);
    assert_eq!(opener.open(&left_behind.seal(b"hello")), Err(SealJunk::UnknownKey));
}

#[test]
fn the_table_of_sessions_is_bounded_and_drops_the_most_silent() {
    let keys = KeyRing::new(OLD);
    let mut opener = Opener::new(keys.clone());
    let mut first = Sealer::new(&keys, 0);
    let replay = first.seal(b"0");
    assert!(opener.open(&replay).is_ok());
    for session in 1..=SESSIONS_MAX as u64 {
        assert!(opener.open(&Sealer::new(&keys, session).seal(b"x")).is_ok());
        if session % 100 == 0 {
            assert!(opener.open(&first.seal(b"still here")).is_ok());
        }
    }
    assert_eq!(opener.sessions.len(), SESSIONS_MAX);
    assert_eq!(opener.open(&replay), Err(SealJunk::Replayed), "one that speaks is kept");
}

#[test]
fn a_session_begins_at_the_first_datagram_that_is_heard() {
    let (mut sealer, mut opener) = pair();
    let recorded = sealer.seal(b"before the opener started");
    assert!(opener.open(&sealer.seal(b"now")).is_ok());
    assert_eq!(opener.open(&recorded), Err(SealJunk::Replayed));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_open(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut opener) = pair();
        prop_assert!(opener.open(&bytes).is_err());
        if bytes.len() > 1 {
            bytes[0] = VERSION;
            bytes[1] = tag_of(&OLD);
            prop_assert!(opener.open(&bytes).is_err());
        }
    }
}
