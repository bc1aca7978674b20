//! Clients' certificates.

use crdt_state::client::ClientRole;
use crdt_state::spec::Facet;
use crdt_state::{ClientId, Kind, RecordKey};

use crate::Differing;

#[test]
fn what_a_client_may_do_is_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    differing.check("ClientRole", &ClientRole::Reader, "0101");
    differing.end();
    let id = ClientId::of(b"a certificate");
    let key = RecordKey::client(id);
    assert_eq!((key.kind, Facet::CLIENT_ROLE), (Kind(0x10), Facet(48)));
    assert_eq!(id.to_string(), "b8tl4wy23b079drpuzqh1t3qz");
}
