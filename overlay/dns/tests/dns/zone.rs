//! A zone with one name for each case.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;

use overlay_dns::{Addresses, AskedName, Reverse, Zone};

/// How many addresses `many` has that are reachable, and how many that are not.
pub const MANY: (u8, u8) = (30, 10);

/// Names by lower case, except for the network after the first dot.
#[derive(Default)]
pub struct TestZone {
    names: Mutex<BTreeMap<String, Addresses>>,
}

impl TestZone {
    pub fn new() -> TestZone {
        let zone = TestZone::default();
        zone.set("four", &[v4(1)], &[]);
        zone.set("six", &[v6(1)], &[]);
        zone.set("both", &[v4(2), v6(2)], &[]);
        zone.set("empty", &[], &[]);
        zone.set("web.Backend", &[v4(3)], &[]);
        let many: Vec<IpAddr> = (100..100 + MANY.0).map(v4).collect();
        let lost: Vec<IpAddr> = (200..200 + MANY.1).map(v4).collect();
        zone.set("many", &many, &lost);
        zone
    }

    pub fn set(&self, name: &str, reachable: &[IpAddr], unreachable: &[IpAddr]) {
        let addresses =
            Addresses { reachable: reachable.to_vec(), unreachable: unreachable.to_vec() };
        self.names.lock().expect("no test panicked").insert(name.to_owned(), addresses);
    }
}

impl Zone for TestZone {
    fn addresses(&self, name: &AskedName) -> Option<Addresses> {
        let service = name.lower().split_once('.').map_or(name.lower(), |(service, _)| service);
        let key = match name.text().split_once('.') {
            Some((_, network)) => format!("{service}.{network}"),
            None => service.to_owned(),
        };
        self.names.lock().expect("no test panicked").get(&key).cloned()
    }

    fn reverse(&self, address: IpAddr) -> Reverse {
        match address {
            known if known == v4(1) || known == v6(1) => Reverse::Named("four.1.x.Backend".into()),
            IpAddr::V4(v4) if v4.octets()[..2] == [10, 9] => Reverse::Unnamed,
            IpAddr::V6(v6) if v6.segments()[0] == 0xfd09 => Reverse::Unnamed,
            _ => Reverse::Foreign,
        }
    }
}

pub fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 9, 0, last).into()
}

pub fn v6(last: u8) -> IpAddr {
    Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, last.into()).into()
}
