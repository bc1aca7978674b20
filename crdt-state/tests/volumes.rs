//! Volumes that were given up on both sides of a partition.

#[path = "support/world.rs"]
mod world;

use crdt_state::RecordKey;
use crdt_state::read::given_up;
use crdt_state::spec::Facet;
use crdt_state::volume::GivenUp;
use world::{full_delta, replica};

#[test]
fn volumes_given_up_on_each_side_are_all_given_up() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    let node = one.me();
    let key = RecordKey::node_settings(node);
    one.edit(key, Facet::VOLUMES_GIVEN_UP, &GivenUp::from([1]), 0);
    other.edit(key, Facet::VOLUMES_GIVEN_UP, &GivenUp::from([2]), 0);
    other.merge(&full_delta(&one));
    one.merge(&full_delta(&other));
    for replica in [&one, &other] {
        assert_eq!(given_up(replica, node), GivenUp::from([1, 2]));
        assert_eq!(replica.conflicts(), []);
    }
}
