//! The leases of this node's tasks, with what is asked about all of them.
//!
//! A node of 5,000 tasks must not look at all of them when one changes. So who has an address, who
//! is on a network and what belongs to a service is noted when a lease changes. In a debug build
//! every settling compares the notes with the leases themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crdt_state::{NetworkId, ServiceId, TaskId};

use super::Lease;

/// All leases.
#[derive(Debug, Default)]
pub struct Leases {
    leases: BTreeMap<TaskId, Lease>,
    notes: Notes,
}

/// What is noted of the leases.
#[derive(Debug, Default, PartialEq, Eq)]
struct Notes {
    of: Index<ServiceId, TaskId>,
    on: Index<NetworkId, (ServiceId, TaskId)>,
    /// More than one task has an address if runs were found with one that was given again meanwhile.
    holders: Index<(NetworkId, IpAddr), TaskId>,
}

/// Some values of each key; no key without any.
type Index<K, V> = BTreeMap<K, BTreeSet<V>>;

impl Leases {
    /// The lease of a task.
    pub fn get(&self, task: TaskId) -> Option<&Lease> {
        self.leases.get(&task)
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// All leases, by task.
    pub fn iter(&self) -> impl Iterator<Item = (TaskId, &Lease)> {
        self.leases.iter().map(|(task, lease)| (*task, lease))
    }

    /// The leases of one service, by task.
    pub fn of(&self, service: ServiceId) -> impl Iterator<Item = (TaskId, &Lease)> {
        let tasks = self.notes.of.get(&service).into_iter().flatten();
        tasks.filter_map(|task| Some((*task, self.leases.get(task)?)))
    }

    /// The services that have a lease.
    pub fn services(&self) -> impl Iterator<Item = ServiceId> {
        self.notes.of.keys().copied()
    }

    /// The networks that any lease is on.
    pub fn networks(&self) -> impl Iterator<Item = NetworkId> {
        self.notes.on.keys().copied()
    }

    /// Is any lease on the network?
    pub(super) fn is_on(&self, network: NetworkId) -> bool {
        self.notes.on.contains_key(&network)
    }

    /// The services that have a lease on a network, some of them more than once.
    pub(super) fn services_on(&self, network: NetworkId) -> impl Iterator<Item = ServiceId> {
        self.notes.on.get(&network).into_iter().flatten().map(|(service, _)| *service)
    }

    /// Has any task the address?
    pub(super) fn is_held(&self, network: NetworkId, ip: IpAddr) -> bool {
        self.notes.holders.contains_key(&(network, ip))
    }

    /// Replaces the lease of a task.
    pub(super) fn insert(&mut self, task: TaskId, lease: Lease) {
        self.remove(task);
        self.notes.add(task, &lease);
        self.leases.insert(task, lease);
    }

    pub(super) fn remove(&mut self, task: TaskId) -> Option<Lease> {
        let lease = self.leases.remove(&task)?;
        self.notes.remove(task, &lease);
        Some(lease)
    }

    /// From now on the task takes no new connections. Returns its service, and whether it took any.
    pub(super) fn withdraw(&mut self, task: TaskId) -> Option<(ServiceId, bool)> {
        let lease = self.leases.get_mut(&task)?;
        let was_withdrawn = std::mem::replace(&mut lease.is_withdrawn, true);
        Some((lease.service, !was_withdrawn))
    }

    /// Panics if the notes are not what the leases say.
    pub(super) fn check(&self) {
        let mut naive = Notes::default();
        self.leases.iter().for_each(|(task, lease)| naive.add(*task, lease));
        assert_eq!(self.notes, naive, "the notes are what the leases say");
    }
}

impl Notes {
    fn add(&mut self, task: TaskId, lease: &Lease) {
        let service = lease.service;
        self.of.entry(service).or_default().insert(task);
        for leased in &lease.interfaces {
            self.on.entry(leased.network).or_default().insert((service, task));
            for ip in &leased.addresses {
                self.holders.entry((leased.network, *ip)).or_default().insert(task);
            }
        }
    }

    fn remove(&mut self, task: TaskId, lease: &Lease) {
        take(&mut self.of, &lease.service, &task);
        for leased in &lease.interfaces {
            take(&mut self.on, &leased.network, &(lease.service, task));
            for ip in &leased.addresses {
                take(&mut self.holders, &(leased.network, *ip), &task);
            }
        }
    }
}

fn take<K: Ord, V: Ord>(index: &mut Index<K, V>, key: &K, value: &V) {
    let Some(values) = index.get_mut(key) else { return };
    values.remove(value);
    if values.is_empty() {
        index.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use crdt_state::task::Slot;

    use super::super::Leased;
    use super::*;

    const NETWORKS: [NetworkId; 2] = [NetworkId([7; 16]), NetworkId([8; 16])];
    const SERVICE: ServiceId = ServiceId([3; 16]);

    fn task(number: u8) -> TaskId {
        TaskId([number; 16])
    }

    fn ip(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn lease(addresses: &[(NetworkId, u8)]) -> Lease {
        let interfaces = addresses.iter().map(|(network, number)| Leased {
            network: *network,
            name: "eth0".to_owned(),
            addresses: vec![ip(*number)],
            is_default: false,
            settings: Vec::new(),
        });
        let (slot, interfaces) = (Slot::Number(1), interfaces.collect());
        Lease { service: SERVICE, slot, interfaces, is_withdrawn: false }
    }

    #[test]
    fn what_is_noted_follows_every_change_of_a_lease() {
        let [one, other] = NETWORKS;
        let mut leases = Leases::default();
        leases.insert(task(1), lease(&[(one, 1), (other, 2)]));
        leases.insert(task(2), lease(&[(one, 1)]));
        leases.check();
        assert_eq!(leases.networks().collect::<Vec<_>>(), NETWORKS);
        assert!(leases.is_held(one, ip(1)) && !leases.is_held(other, ip(1)));
        assert_eq!(leases.of(SERVICE).count(), 2);

        leases.insert(task(1), lease(&[(other, 3)]));
        leases.check();
        assert!(leases.is_held(one, ip(1)), "the other task has it as well");
        assert!(!leases.is_held(other, ip(2)) && leases.is_held(other, ip(3)));
        assert_eq!(leases.services_on(one).collect::<Vec<_>>(), [SERVICE]);

        assert_eq!(leases.withdraw(task(2)), Some((SERVICE, true)));
        assert_eq!(leases.withdraw(task(2)), Some((SERVICE, false)));
        assert!(leases.remove(task(2)).is_some_and(|lease| lease.is_withdrawn));
        leases.check();
        assert_eq!(leases.networks().collect::<Vec<_>>(), [other]);
        assert!(leases.remove(task(1)).is_some() && leases.is_empty());
        leases.check();
        assert_eq!((leases.services().count(), leases.withdraw(task(1))), (0, None));
    }
}
