//! Writes what honest nodes send into the corpora of the targets of other nodes:
//! `cargo run -p fuzz-targets --example honest chaos/fuzz/corpus`.

use std::path::Path;
use std::sync::Arc;

use crdt_state::condition::NodeConditions;
use crdt_state::spec::{Facet, Labels, Life, Scale, StoredTemplate, Template};
use crdt_state::{
    Digest, HashSigner, HashVerifier, NodeId, RecordKey, Replica, ServiceId, Signer, StoreId,
    Writer, wire,
};
use gossip::lie::{Lie, encode_lie};
use gossip::{Identity, MemberState, encode_rumour};
use node_agent::transport::PeerRequest;

fn pieces(all: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in all {
        bytes.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        bytes.extend_from_slice(piece);
    }
    bytes
}

fn replica() -> (Replica, RecordKey) {
    let signer = HashSigner::from_seed(2);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(2) };
    let mut replica = Replica::new(writer, Box::new(signer), Arc::new(HashVerifier));
    let key = RecordKey::service(ServiceId([5; 16]));
    let created = replica.next_stamp();
    let life = Life::Present { name: "web".to_owned(), created };
    replica.edit(key, Facet::LIFE, &life, 1);
    replica.edit(key, Facet::SCALE, &Scale::Replicated { replicas: 3 }, 1);
    let template = Template { image: "web:1".to_owned(), ..Template::default() };
    replica.edit(key, Facet::TEMPLATE, &StoredTemplate(template), 1);
    replica.edit(key, Facet::LABELS, &Labels::from([("a".to_owned(), "b".to_owned())]), 1);
    let own = RecordKey::conditions(replica.me());
    replica.put_owned(own, &NodeConditions::default(), 1);
    (replica, key)
}

fn main() {
    let root = std::env::args().nth(1).expect("the folder of the corpora");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let dir = Path::new(&root).join(target);
        std::fs::create_dir_all(&dir).expect("made");
        std::fs::write(dir.join(name), bytes).expect("written");
    };
    let (mut replica, key) = replica();
    let (me, from) = (Identity::at_boot(NodeId([1; 16]), 1), NodeId([2; 16]));
    let service = replica.delta([key]);
    write("records", "service", &pieces(&[wire::encode(&service)]));
    let own = RecordKey::conditions(replica.me());
    let both = replica.delta([key, own]);
    let mut loaded = vec![key.kind.0];
    loaded.extend(replica.record(&key).expect("it is there").encode());
    write("records", "disk", &pieces(&[loaded, wire::encode(&both)]));
    replica.remove(key, 2).expect("removed");
    let removed = encode_rumour(from, replica.delta([key]));

    let other = Identity::at_boot(from, 3);
    let told: Vec<Vec<u8>> = [
        Lie::InAnotherName(other),
        Lie::Listed(other, 0, MemberState::Alive),
        Lie::Digests(7, Digest([7; 16])),
        Lie::Tree(Digest([9; 16])),
        Lie::GoodBye(other),
    ]
    .iter()
    .map(|lie| encode_lie(from, me, lie))
    .collect();
    let rumour = encode_rumour(from, both);
    for target in ["datagrams", "node"] {
        write(target, "membership", &pieces(&told));
        write(target, "rumours", &pieces(&[rumour.clone(), removed.clone()]));
    }
    for (name, request) in [
        ("have", PeerRequest::Have(vec!["sha256:5f".to_owned()])),
        ("resolve", PeerRequest::Resolve("docker.io/library/web:1".to_owned())),
        ("clock", PeerRequest::Clock),
    ] {
        write("requests", name, &wire::encode(&request));
    }
    let mut sealed = vec![2; 200];
    sealed[1..4].copy_from_slice(&[7, 8, 9]);
    write("seal", "stranger", &pieces(&[sealed, vec![0x40; 60], vec![1; 31]]));
}
