//! The settings of a fleet.

use crdt_state::fleet::TaskHistory;
use crdt_state::spec::Facet;
use crdt_state::{Kind, RecordKey};

use crate::Differing;

#[test]
fn the_settings_of_a_fleet_are_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    differing.check("TaskHistory", &TaskHistory { limit: 5 }, "0105");
    differing.check("TaskHistory, none", &TaskHistory { limit: 0 }, "0100");
    differing.end();
    // All of them must find the one record, and the facet in it.
    let key = RecordKey { kind: Kind(0x0a), id: [0; 16] };
    assert_eq!((RecordKey::fleet_settings(), Facet::TASK_HISTORY), (key, Facet(256)));
}
