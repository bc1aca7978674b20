//! The encodings of partition policies and of leases, byte for byte: agents of other versions read
//! what this one writes. See `frozen.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::partition::{Grant, Grants, Partition, PartitionPolicy};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId, wire};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_said_of_partitions_is_read_by_agents_of_other_versions() {
    let node = NodeId([1; 16]);
    let policy = PartitionPolicy::AtMostOne;
    let anchors = BTreeSet::from([node]);
    let partition = Partition { policy, fence_after_ms: 10_000, anchors };
    let ones = "01".repeat(16);
    assert_eq!(hex(&wire::encode(&partition)), format!("0102fb102701{ones}"));
    assert_eq!(wire::decode(&wire::encode(&partition)), Ok(partition));
    let (slot, grant) = (Slot::Number(1), Grant { node, lease_ms: 20_000 });
    let given = BTreeMap::from([((ServiceId([2; 16]), slot), grant)]);
    let grants = Grants { store: StoreId(7), given };
    let twos = "02".repeat(16);
    assert_eq!(hex(&wire::encode(&grants)), format!("010701{twos}0001{ones}fb204e"));
    assert_eq!(wire::decode(&wire::encode(&grants)), Ok(grants));
}
