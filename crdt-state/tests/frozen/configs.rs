//! Configs, and the files that services make of them.

use crdt_state::config::{ConfigFile, ConfigPart, ConfigSpec};
use crdt_state::spec::Facet;
use crdt_state::spec::extension::{Properties, Property};
use crdt_state::{ConfigId, Kind, RecordKey};

use crate::Differing;

const CONFIG: ConfigId = ConfigId([9; 16]);

#[test]
fn configs_are_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let spec = ConfigSpec::of(b"level=7");
    differing.check("ConfigSpec", &spec, "34 bytes a30209a16d13d42d2a787e1d48e5d3c1");
    let part = ConfigPart { config: CONFIG, number: 3, data: b"level=7".to_vec() };
    differing.check("ConfigPart", &part, "010909090909090909090909090909090903076c6576656c3d37");
    let (name, target) = ("a".to_owned(), "/b".to_owned());
    let file = ConfigFile { config: CONFIG, name, target, uid: 7, gid: 8, mode: 0o440 };
    let properties: Properties = vec![Property::Configs(vec![file])];
    differing.check(
        "Configs",
        &properties,
        "01010301090909090909090909090909090909090161022f620708fb2001",
    );
    differing.end();
    // All of them must find the records, and the facets in them.
    assert_eq!(RecordKey::config(CONFIG), RecordKey { kind: Kind(0x05), id: [9; 16] });
    let part = RecordKey::config_part(CONFIG, 3);
    let hex: String = part.id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((part.kind, hex.as_str()), (Kind(0x0b), "59565d97c3a4898ac3c0c2e9a754b087"));
    assert_eq!((Facet::CONFIG, Facet::CONFIG_PART), (Facet(29), Facet(30)));
}
