//! Stacks from files.

use crdt_state::spec::Facet;
use crdt_state::stack::StackFile;
use crdt_state::{Kind, RecordKey};

use crate::Differing;

#[test]
fn which_version_of_a_stack_counts_is_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let file = StackFile {
        stack: "shop".to_owned(),
        turn: 3,
        version: [7; 32],
        earlier: vec![[5; 8], [6; 8]],
        is_applied: true,
    };
    differing.check("StackFile", &file, "57 bytes abd27096958bd4d238ad57444f2e7d93");
    differing.end();
    let key = RecordKey::stack("shop");
    assert_eq!((key.kind, Facet::STACK), (Kind(0x0c), Facet(31)));
    assert_eq!(hex(key.id), "427206bca89ef2815e35fcc48bbf78d4");
    // What two nodes make of one version has one id.
    assert_eq!(hex(StackFile::origin("shop")), "e77f9b727783baf69703dafcc0da9a07");
}

fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
