//! Configs and secrets, the files that services make of them, and wrapped keys.

use crdt_state::file::{ConfigFile, FilePart, FileSpec, SecretFile, TemplateDriver, TemplateFile};
use crdt_state::secret::{Batch, SecretKeys, WrappedKey};
use crdt_state::spec::Facet;
use crdt_state::spec::extension::{Properties, Property};
use crdt_state::{ConfigId, Kind, NodeId, RecordKey, SecretId};

use crate::Differing;

const CONFIG: ConfigId = ConfigId([9; 16]);

#[test]
fn configs_are_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let spec = FileSpec::of(b"level=7");
    differing.check("FileSpec", &spec, "34 bytes a30209a16d13d42d2a787e1d48e5d3c1");
    let template = TemplateFile { spec, driver: TemplateDriver::Golang };
    differing.check("TemplateFile", &template, "35 bytes fd5aa4726c9880bcac8d1b71c315deac");
    let part = FilePart { file: CONFIG.0, number: 3, data: b"level=7".to_vec() };
    differing.check("FilePart", &part, "010909090909090909090909090909090903076c6576656c3d37");
    let (name, target) = ("a".to_owned(), "/b".to_owned());
    let file = ConfigFile { id: CONFIG, name, target, uid: 7, gid: 8, mode: 0o440 };
    let properties: Properties = vec![Property::Configs(vec![file])];
    differing.check(
        "Configs",
        &properties,
        "01010301090909090909090909090909090909090161022f620708fb2001",
    );
    differing.end();
    // All of them must find the records, and the facets in them.
    assert_eq!(RecordKey::config(CONFIG), RecordKey { kind: Kind(0x05), id: [9; 16] });
    let part = RecordKey::file_part(CONFIG.into(), 3);
    let hex: String = part.id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((part.kind, hex.as_str()), (Kind(0x0b), "59565d97c3a4898ac3c0c2e9a754b087"));
    assert_eq!((Facet::FILE, Facet::FILE_PART), (Facet(29), Facet(30)));
    assert_eq!(Facet::TEMPLATE_FILE, Facet(52));
}

#[test]
fn secrets_are_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let (node, secret) = (NodeId([1; 16]), SecretId([9; 16]));
    let (name, target) = ("a".to_owned(), "b".to_owned());
    let file = SecretFile { id: secret, name, target, uid: 7, gid: 8, mode: 0o400 };
    let properties: Properties = vec![Property::Secrets(vec![file])];
    differing.check(
        "Secrets",
        &properties,
        "0101050109090909090909090909090909090909016101620708fb0001",
    );
    let keys = vec![(node, WrappedKey([4; 32], [5; 16]))];
    let batches = vec![Batch { ephemeral: [3; 32], keys }];
    let keys = SecretKeys { node, secret, data: [2; 32], batches };
    differing.check("SecretKeys", &keys, "163 bytes 2f7e4925d93c61b9ccd3cea303333805");
    differing.end();
    let hex = |id: [u8; 16]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(RecordKey::secret(secret), RecordKey { kind: Kind(0x04), id: [9; 16] });
    let part = RecordKey::file_part(secret.into(), 3);
    assert_eq!(
        (part.kind, hex(part.id).as_str()),
        (Kind(0x0d), "f412f6907db2d58d411077df0daa2639")
    );
    let keys = RecordKey::secret_keys(node, secret);
    assert_eq!(
        (keys.kind, hex(keys.id).as_str()),
        (Kind(0x90), "c3085ade08225e29d181ca74ad52ab20")
    );
}
