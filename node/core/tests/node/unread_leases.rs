//! A service that runs at most once, and whose record nobody can read any more.

use crdt_state::RecordKey;
use crdt_state::spec::{Facet, StoredTemplate, Template};

use crate::leases::running_on_the_first;
use crate::pair::Pair;
use crate::poison::{member, tell};

/// The longest message about leases, and less than any other.
const LEASE_BYTES_MAX: usize = 60;

/// How many messages about leases `pi-1` sends in this time.
fn lease_messages(pair: &mut Pair, ms: u64) -> usize {
    pair.lengths.clear();
    pair.wait(ms);
    pair.lengths.iter().filter(|bytes| **bytes <= LEASE_BYTES_MAX).count()
}

#[test]
fn a_node_does_not_go_on_asking_for_leases_that_nothing_can_start_with() {
    let (mut pair, id, start) = running_on_the_first();
    let key = RecordKey::service(id);
    let mut adversary = member(9);
    adversary.merge(&pair.hosts[0].node.replica().delta([key]));
    let good = pair.hosts[0].node.service(id).expect("it is there").template.clone();
    let bad = Template { stop_grace_ms: u64::MAX, ..good.clone() };
    adversary.edit(key, Facet::TEMPLATE, &StoredTemplate(bad), 0);
    pair.hosts.iter_mut().for_each(|host| tell(host, &adversary));
    assert!(pair.hosts[0].node.service(id).is_none(), "nobody can read it");

    let asked = lease_messages(&mut pair, 6_000);
    assert!(asked >= 2, "{asked}: the task runs, and needs its leases");
    pair.hosts[0].exit(start.run, 0);
    pair.wait(60_000);
    let asked = lease_messages(&mut pair, 300_000);
    assert!((9..=11).contains(&asked), "{asked}: one in 30 s");

    adversary.edit(key, Facet::TEMPLATE, &StoredTemplate(good), 0);
    pair.hosts.iter_mut().for_each(|host| tell(host, &adversary));
    pair.wait(1_000);
    assert!(!pair.hosts[0].started.is_empty(), "it can be read again, and starts at once");
}
