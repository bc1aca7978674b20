//! What the catalog reads, as records arrive in any order.

use std::sync::Arc;

use crdt_state::network::{Attachment, NetworkSpec};
use crdt_state::stamp::Writer;
use crdt_state::{HashSigner, HashVerifier, Signer, StoreId};

use super::*;

fn fleet() -> Replica {
    let signer = HashSigner::from_seed(1);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
}

#[test]
fn the_older_of_two_owns_their_name_until_it_is_gone() {
    let (older, younger) = (ServiceId([1; 16]), ServiceId([2; 16]));
    let (mut replica, mut catalog) = (fleet(), Catalog::default());
    let mut write = |id, life: &Life, catalog: &mut Catalog| {
        let key = RecordKey::service(id);
        replica.edit(key, Facet::LIFE, life, 0);
        catalog.update(&replica, key, &mut Touched::default());
    };
    let writer = fleet().writer();
    let present = |lamport| Life::Present {
        name: "web".to_owned(),
        created: crdt_state::Stamp { lamport, writer },
    };
    write(younger, &present(2), &mut catalog);
    for life in [present(1), Life::Removed { name: "web".to_owned() }] {
        write(older, &life, &mut catalog);
        let is_removed = matches!(life, Life::Removed { .. });
        assert_eq!(catalog.owns_name(&catalog.services[&younger]), is_removed);
    }
}

#[test]
fn a_network_that_comes_after_its_service_has_the_service_planned_again() {
    let (mut replica, mut catalog) = (fleet(), Catalog::default());
    let (network, service) = (NetworkId([3; 16]), ServiceId([1; 16]));
    let key = RecordKey::service(service);
    let created = crdt_state::Stamp { lamport: 1, writer: fleet().writer() };
    let life = |name: &str| Life::Present { name: name.to_owned(), created };
    replica.edit(key, Facet::LIFE, &life("web"), 0);
    let (aliases, options) = (Vec::new(), BTreeMap::new());
    let attachment = Attachment { network, aliases, options };
    replica.edit(key, Facet::NETWORKS, &vec![attachment], 0);
    catalog.update(&replica, key, &mut Touched::default());
    assert!(catalog.networks.encrypted_of(&catalog.services[&service]).is_none());
    let key = RecordKey::network(network);
    replica.edit(key, Facet::LIFE, &life("safe"), 0);
    let spec = NetworkSpec { encrypted: true, ..NetworkSpec::default() };
    replica.edit(key, Facet::NETWORK, &spec, 0);
    let mut touched = Touched::default();
    catalog.update(&replica, key, &mut touched);
    assert!(touched.services.contains(&service));
    assert!(catalog.networks.encrypted_of(&catalog.services[&service]).is_some());
}
