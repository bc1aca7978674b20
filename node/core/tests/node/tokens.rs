//! Join tokens: who is let in, and when a token ends by itself.

use crdt_state::read;
use crdt_state::token::{JoinToken, TokenEnd, TokenId, TokenOrigin, TokenRole};
use crdt_state::{NodeId, RecordKey, labels};
use node_core::edit::token::BadToken;
use node_core::{Edit, Edited, NodeTimer, Refusal};

use crate::host::Host;

const ID: TokenId = TokenId([7; 8]);

fn joiner(n: u8) -> NodeId {
    NodeId([n; 16])
}

fn token(uses_max: u32, expires_after_ms: u64) -> Edit {
    Edit::CreateToken(Box::new(JoinToken {
        id: ID,
        role: TokenRole::Worker,
        origin: TokenOrigin::Issued,
        verifier: [1; 32],
        uses_max,
        site: "shop-12".to_owned(),
        expires_after_ms,
    }))
}

fn show(host: &mut Host, n: u8) -> Result<Edited, Refusal> {
    host.edit(Edit::UseToken { id: ID, joiner: joiner(n) })
}

fn ended(host: &Host) -> Option<TokenEnd> {
    let held = read::token(host.node.replica(), ID).expect("a token");
    held.end.map(|(end, _)| end)
}

#[test]
fn a_token_lets_in_as_many_as_it_is_for_and_each_of_them_again() {
    let mut host = Host::new();
    assert_eq!(show(&mut host, 1), Err(BadToken::NoSuch(ID).into()));
    host.edit(token(2, 0)).expect("made");
    for n in [1, 2, 1] {
        assert_eq!(show(&mut host, n), Ok(Edited::Done));
    }
    let by = [joiner(1), joiner(2)].iter().map(NodeId::to_string).collect();
    assert_eq!(show(&mut host, 3), Err(BadToken::UsedUp { id: ID, by }.into()));
    assert_eq!(show(&mut host, 2), Ok(Edited::Done), "its answer may have been lost");
}

#[test]
fn who_was_let_in_is_on_disk_before_the_answer_and_known_after_a_restart() {
    let mut host = Host::new();
    host.edit(token(1, 0)).expect("made");
    show(&mut host, 1).expect("let in");
    assert!(host.disk.contains_key(&RecordKey::token_uses(host.node.me())));
    let mut again = Host::boot(2, host.disk.clone(), Vec::new());
    assert!(matches!(show(&mut again, 2), Err(Refusal::Token(BadToken::UsedUp { .. }))));
}

#[test]
fn whoever_joins_gets_the_site_of_the_token() {
    let mut host = Host::new();
    host.edit(token(0, 0)).expect("made");
    show(&mut host, 1).expect("let in");
    let set = labels(host.node.replica(), &RecordKey::node_settings(joiner(1)));
    assert_eq!(set.get("site").map(String::as_str), Some("shop-12"));
}

#[test]
fn a_token_that_ended_lets_nobody_in() {
    let mut host = Host::new();
    host.edit(token(0, 0)).expect("made");
    host.edit(Edit::EndToken { id: ID, end: TokenEnd::Rotated }).expect("ended");
    assert!(matches!(show(&mut host, 1), Err(Refusal::Token(BadToken::Ended { .. }))));
    host.edit(Edit::EndToken { id: ID, end: TokenEnd::Removed }).expect("it has");
    assert_eq!(ended(&host), Some(TokenEnd::Rotated), "what ended it first");
}

#[test]
fn a_token_ends_when_its_time_is_over() {
    let mut host = Host::new();
    host.edit(token(0, 60_000)).expect("made");
    let waits = host.node.waits_for();
    let due = waits.iter().find(|(_, timer)| *timer == NodeTimer::TokenDue).map(|(at, _)| *at);
    assert_eq!(due, Some(host.now.plus(60_000)));
    host.wait(59_000);
    assert_eq!((show(&mut host, 1), ended(&host)), (Ok(Edited::Done), None));
    host.wait(1_000);
    assert_eq!(ended(&host), Some(TokenEnd::Expired));
    assert!(show(&mut host, 1).is_err());
}

#[test]
fn who_made_a_token_and_cannot_tell_how_old_it_is_ends_it() {
    let mut host = Host::new();
    host.edit(token(0, 60_000)).expect("made");
    let again = Host::boot(2, host.disk.clone(), Vec::new());
    assert_eq!(ended(&again), Some(TokenEnd::Expired));
}
