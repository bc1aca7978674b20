//! Join tokens.

use crdt_state::spec::Facet;
use crdt_state::token::{
    JoinToken, TokenEnd, TokenId, TokenOrigin, TokenRole, TokenUse, TokenUses, verifier,
};
use crdt_state::{Kind, RecordKey};

use crate::{Differing, NODE};

#[test]
fn join_tokens_are_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let id = TokenId([7; 8]);
    let token = JoinToken {
        id,
        role: TokenRole::Manager,
        origin: TokenOrigin::Issued,
        verifier: verifier(id, &[9; 16]),
        uses_max: 3,
        site: "shop-12".to_owned(),
        expires_after_ms: 900_000,
    };
    differing.check("JoinToken", &token, "57 bytes f90344d284c7e6a40bbd3dc1ca61fccb");
    differing.check("TokenEnd", &TokenEnd::Expired, "0102");
    differing.check(
        "TokenUses",
        &TokenUses(vec![TokenUse { token: id, joiner: NODE }]),
        "0101070707070707070701010101010101010101010101010101",
    );
    differing.end();
    let key = RecordKey::token(id);
    assert_eq!((key.kind, Facet::TOKEN, Facet::TOKEN_END), (Kind(0x07), Facet(40), Facet(41)));
    assert_eq!(RecordKey::token_uses(NODE), RecordKey { kind: Kind(0x91), id: NODE.0 });
    let hex: String = key.id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "bdf8b7644e7c4620668fc31f6c57c401");
}
