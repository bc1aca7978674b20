//! The data of a config: written in parts, read as it was written or not at all.

use std::sync::Arc;

use crdt_state::file::{
    CONFIG_BYTES_MAX, FilePart, FileSpec, PART_BYTES, TemplateDriver, TemplateFile,
};
use crdt_state::read::{FleetFile, file_data, file_template};
use crdt_state::signature::{HashSigner, HashVerifier, Signer};
use crdt_state::spec::{Facet, Life};
use crdt_state::{ConfigId, FileId, NodeId, RecordKey, Replica, StoreId, Writer};

const ID: FileId = FileId::Config(ConfigId([1; 16]));

fn replica(seed: u64) -> Replica {
    let signer = HashSigner::from_seed(seed);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
}

fn write(replica: &mut Replica, data: &[u8]) {
    let key = RecordKey::file(ID);
    let life = Life::Present { name: "app.conf".into(), created: replica.next_stamp() };
    replica.edit(key, Facet::LIFE, &life, 0);
    replica.edit(key, Facet::FILE, &FileSpec::of(data), 0);
    for (number, data) in (0..).zip(data.chunks(PART_BYTES)) {
        write_part(replica, number, data);
    }
}

fn write_part(replica: &mut Replica, number: u16, data: &[u8]) {
    let part = FilePart { file: ID.bytes(), number, data: data.to_vec() };
    replica.edit(RecordKey::file_part(ID, number), Facet::FILE_PART, &part, 0);
}

#[test]
fn data_is_read_when_all_of_it_is_here() {
    let data: Vec<u8> = (0..CONFIG_BYTES_MAX).map(|at| (at % 251) as u8).collect();
    let mut writer = replica(1);
    write(&mut writer, &data);
    assert_eq!(file_data(&writer, ID).as_ref(), Some(&data));

    let mut reader = replica(2);
    let keys: Vec<RecordKey> = writer.drain_changed().into_iter().collect();
    assert_eq!(keys.len(), 17);
    for key in keys {
        assert_eq!(file_data(&reader, ID), None, "something is missing");
        reader.merge(&writer.delta([key]));
    }
    assert_eq!(file_data(&reader, ID), Some(data));
    assert_eq!(FleetFile::read(&reader, ID), FleetFile::read(&writer, ID));
    assert_eq!(FleetFile::read(&reader, ID).map(|config| config.name), Some("app.conf".to_owned()));
}

/// Who knows no templates finds no description of the data, and starts no task with it.
#[test]
fn a_template_has_a_facet_of_its_own() {
    let (mut replica, key) = (replica(1), RecordKey::file(ID));
    write(&mut replica, b"level=7");
    assert_eq!(file_template(&replica, ID), None);

    let other = FileId::Config(ConfigId([2; 16]));
    let life = Life::Present { name: "app.tmpl".into(), created: replica.next_stamp() };
    let (key, data) = (RecordKey { id: other.bytes(), ..key }, b"slot={{.Task.Slot}}");
    replica.edit(key, Facet::LIFE, &life, 0);
    let file = TemplateFile { spec: FileSpec::of(data), driver: TemplateDriver::Golang };
    replica.edit(key, Facet::TEMPLATE_FILE, &file, 0);
    let part = FilePart { file: other.bytes(), number: 0, data: data.to_vec() };
    replica.edit(RecordKey::file_part(other, 0), Facet::FILE_PART, &part, 0);
    let read = FleetFile::read(&replica, other).expect("it is there");
    assert_eq!(read.template, Some(TemplateDriver::Golang));
    assert_eq!(read.spec, file.spec);
    assert_eq!(file_data(&replica, other).as_deref(), Some(data.as_slice()));
    assert!(replica.facet::<FileSpec>(&key, Facet::FILE).is_none());
}

#[test]
fn other_data_than_what_was_written_is_not_read() {
    let mut replica = replica(1);
    write(&mut replica, b"level=7");
    write_part(&mut replica, 0, b"level=8");
    assert_eq!(file_data(&replica, ID), None);
    write_part(&mut replica, 0, b"level=7");
    assert_eq!(file_data(&replica, ID), Some(b"level=7".to_vec()));
}

#[test]
fn data_is_read_after_the_removal_until_its_parts_are_emptied() {
    let mut replica = replica(1);
    write(&mut replica, b"level=7");
    replica.remove(RecordKey::file(ID), 0).expect("it is there");
    assert_eq!(FleetFile::read(&replica, ID), None);
    assert_eq!(file_data(&replica, ID), Some(b"level=7".to_vec()));
    write_part(&mut replica, 0, b"");
    assert_eq!(file_data(&replica, ID), None);
}
