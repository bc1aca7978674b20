//! One namespace at work: its handle, its netlink socket and its links as last read.
//!
//! Links are made, repaired and removed here, by name. A link that is not as wanted is removed and
//! made anew: EEXIST never counts as success.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use overlay::plan::Mac;

use crate::difference::difference;
use crate::error::{Applied, Cause, Subject};
use crate::item::{Item, LinkIndex, Scope};
use crate::kernel::{self, Link, Links};
use crate::message::{self, End, Vxlan};
use crate::namespace::Namespace;
use crate::netlink::{Netlink, Refusal, Request};
use crate::wanted::Wanted;

/// A namespace with what is needed to change it.
pub struct Space {
    /// The namespace.
    pub namespace: Namespace,
    /// The socket in it.
    pub netlink: Netlink,
    /// Its links when they were last read.
    pub links: Links,
    /// Links that were set up and may not pass packets on yet.
    woken: BTreeSet<String>,
    /// Addresses that were added and may not be taken in yet.
    addressed: BTreeSet<IpAddr>,
}

/// The kernel notices a carrier after a second at the latest.
const READY_WAIT_MAX: Duration = Duration::from_millis(1500);

/// How often the kernel is asked.
const READY_POLL: Duration = Duration::from_millis(1);

/// The name and the link address of one end of a pair.
#[derive(Debug, Clone, Copy)]
pub struct EndName<'a> {
    /// The name.
    pub name: &'a str,
    /// The link address.
    pub mac: Mac,
}

impl Space {
    /// Opens a socket in the namespace. The links are not read yet.
    pub fn open(namespace: Namespace) -> io::Result<Space> {
        let netlink = namespace.netlink()?;
        Ok(Space::new(namespace, netlink))
    }

    /// The namespace of this thread, without entering anything: that alone needs a capability.
    pub fn current() -> io::Result<Space> {
        Ok(Space::new(Namespace::current()?, Netlink::open()?))
    }

    fn new(namespace: Namespace, netlink: Netlink) -> Space {
        let (links, woken, addressed) = (Links::new(), BTreeSet::new(), BTreeSet::new());
        Space { namespace, netlink, links, woken, addressed }
    }

    /// Reads the links.
    pub fn read_links(&mut self) -> Result<(), Refusal> {
        self.links = kernel::links(&mut self.netlink)?;
        Ok(())
    }

    /// Reads one link.
    pub fn read_link(&mut self, name: &str) -> Result<(), Refusal> {
        match kernel::find_link(&mut self.netlink, name)? {
            Some(link) => self.links.insert(name.into(), link),
            None => self.links.remove(name),
        };
        Ok(())
    }

    /// The index of a link.
    pub fn index(&self, name: &str) -> Option<LinkIndex> {
        self.links.get(name).map(|link| link.index)
    }

    /// Removes a link if it is there; says how many were removed.
    pub fn remove_link(&mut self, name: &str) -> Result<usize, Refusal> {
        let Some(link) = self.links.remove(name) else { return Ok(0) };
        match self.netlink.request(message::delete_link(link.index)) {
            // The other end of a pair was removed first, and this one with it.
            Err(refusal) if refusal.code == nix::libc::ENODEV => Ok(0),
            other => other.map(|()| 1),
        }
    }

    /// Sets a link up, and its largest packet.
    pub fn settle(&mut self, name: &str, mtu: u32, subject: Subject, applied: &mut Applied) {
        let Some(link) = self.links.get(name) else { return };
        let mut requests: Vec<(&str, Request)> = Vec::new();
        if link.mtu != mtu && !link.is_loopback {
            requests.push(("set the MTU", message::set_mtu(link.index, mtu)));
        }
        if !link.is_up {
            if !link.is_loopback {
                requests.push(("set the address mode", message::no_automatic_address(link.index)));
            }
            requests.push(("set the link up", message::up(link.index)));
            // Only the ends of pairs begin without a carrier.
            if link.vxlan.is_none() && link.peer != 0 {
                self.woken.insert(name.into());
            }
        }
        let (names, requests): (Vec<&str>, Vec<Request>) = requests.into_iter().unzip();
        let is_vxlan = link.vxlan.is_some();
        for (action, result) in names.into_iter().zip(self.netlink.batch(requests)) {
            let result = result.map(|()| 1).map_err(|refusal| match refusal.code {
                nix::libc::EADDRINUSE if is_vxlan => Cause::PortTaken,
                _ => Cause::Kernel(refusal),
            });
            applied.note(subject, &format!("{action} of {name}"), result);
        }
    }

    /// Says in the list of links what this one is for.
    pub fn explain(&mut self, name: &str, alias: &str) -> Result<usize, Refusal> {
        match self.links.get(name) {
            Some(link) if link.alias != alias => {
                self.netlink.request(message::set_alias(link.index, alias)).map(|()| 1)
            }
            _ => Ok(0),
        }
    }

    /// Waits until what was set up passes packets on.
    ///
    /// The end of a pair that is set up first has no carrier yet. It gets it with the other end,
    /// but drops what it is to send until the kernel's link watch has run, up to a second later.
    /// Since Linux 6.8 the question for one link makes it run. An IPv6 address can be bound to at
    /// once, but a work queue of the kernel makes the route by which packets to it are taken in.
    pub fn await_ready(&mut self) {
        let start = Instant::now();
        let wait = || {
            std::thread::sleep(READY_POLL);
            start.elapsed() < READY_WAIT_MAX
        };
        for name in std::mem::take(&mut self.woken) {
            while let Ok(Some(link)) = kernel::find_link(&mut self.netlink, &name)
                && !link.is_active
                && wait()
            {}
        }
        for address in std::mem::take(&mut self.addressed) {
            while let Ok(false) = kernel::is_local(&mut self.netlink, address)
                && wait()
            {}
        }
    }

    /// Makes the namespace hold these items, and nothing else in the scope. `devices` are the VXLAN
    /// devices whose forwarding entries are compared too.
    pub fn hold(
        &mut self,
        wanted: &Wanted,
        scope: &Scope<'_>,
        devices: &[LinkIndex],
        subject: Subject,
        applied: &mut Applied,
    ) {
        // A task that comes costs the same on a node with many.
        let only = match scope {
            Scope::Links(links) if links.len() == 1 => links.first().copied(),
            _ => None,
        };
        let held = kernel::items(&mut self.netlink, only).and_then(|mut held| {
            for device in devices {
                held.extend(kernel::forwards(&mut self.netlink, *device)?);
            }
            Ok(held)
        });
        if let Some(held) = applied.value(subject, "read what the kernel has", held) {
            self.change(wanted, &held, scope, subject, applied);
        }
    }

    fn change(
        &mut self,
        wanted: &Wanted,
        held: &BTreeSet<Item>,
        scope: &Scope<'_>,
        subject: Subject,
        applied: &mut Applied,
    ) {
        let added = wanted.keys().filter(|item| !held.contains(item));
        self.addressed.extend(
            added
                .filter_map(|item| match item {
                    Item::Address { address: IpNet::V6(net), .. } => Some(net.addr()),
                    _ => None,
                })
                .filter(|address| !address.is_unicast_link_local())
                .map(IpAddr::V6),
        );
        let changes = difference(wanted, held, scope);
        let (what, requests): (Vec<_>, Vec<_>) =
            changes.into_iter().map(|change| ((change.owner, change.what), change.request)).unzip();
        for ((owner, what), result) in what.into_iter().zip(self.netlink.batch(requests)) {
            let is_removal = owner.is_none();
            match result {
                // With an address the kernel removes the routes that prefer it.
                Err(refusal) if is_removal && is_absent(&refusal) => {}
                result => applied.note(owner.unwrap_or(subject), &what, result.map(|()| 1)),
            }
        }
    }
}

fn is_absent(refusal: &Refusal) -> bool {
    use nix::libc::{EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH};
    [EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH].contains(&refusal.code)
}

/// Are both ends there, each the other's peer, with these link addresses?
pub fn is_pair(near: (&Space, EndName<'_>), far: (&Space, EndName<'_>)) -> bool {
    let find = |(space, end): (&Space, EndName<'_>)| -> Option<Link> {
        space.links.get(end.name).filter(|link| link.mac == end.mac).cloned()
    };
    let (Some(near), Some(far)) = (find(near), find(far)) else { return false };
    near.peer == far.index && far.peer == near.index
}

/// Makes a pair of links; neither may be there.
pub fn make_pair(
    near: (&mut Space, EndName<'_>),
    far: (&Space, EndName<'_>),
    mtu: u32,
) -> Result<usize, Refusal> {
    let ((space, near), (far_space, far)) = (near, far);
    let namespace = far_space.namespace.as_fd();
    let far = End { name: far.name, mac: far.mac, namespace };
    let near = End { name: near.name, mac: near.mac, namespace: space.namespace.as_fd() };
    space.netlink.request(message::new_veth(&near, &far, mtu))?;
    Ok(1)
}

/// Makes the VXLAN device of a network in the network's namespace, working in the host's.
pub fn make_vxlan(
    host: &mut Space,
    network: &Space,
    name: &str,
    vxlan: &Vxlan,
    mtu: u32,
) -> Result<usize, Cause> {
    let request = message::new_vxlan(name, vxlan, mtu, network.namespace.as_fd());
    match host.netlink.request(request) {
        // The name is free, for the links of the namespace were read just before.
        Err(refusal) if refusal.code == nix::libc::EEXIST => Err(Cause::VniTaken(vxlan.vni)),
        other => Ok(other.map(|()| 1)?),
    }
}
