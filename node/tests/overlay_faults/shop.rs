//! A fleet with a service that answers on every node, and clients beside it.

use std::net::{IpAddr, SocketAddr};

use crate::fleet::{Fleet, Task, address_in, virtual_address};
use crate::load::{ECHO_PORT, Echo, Load};

/// Three nodes with a network `back`, a service `web` with a task on each, and a task `cli` on each
/// node, from which clients ask.
pub struct Shop {
    pub fleet: Fleet,
    pub web: Vec<Task>,
    pub cli: Vec<Task>,
    pub virtual_address: IpAddr,
    /// In each task of `web`.
    pub echoes: Vec<Echo>,
}

impl Shop {
    pub fn open(letter: char) -> Option<Shop> {
        let fleet = Fleet::open(letter, 3)?;
        fleet.create_network(&["back"]);
        let web = ["--network", "back", "--replicas", "3", "--publish", "8080:80"];
        fleet.create_web(2, "web", &web);
        fleet.create_idle(3, "cli", &["--network", "back", "--mode", "global"]);
        let mut cli = fleet.await_tasks(1, "cli", 3);
        cli.sort_by_key(|task| task.node);
        let mut web = fleet.await_tasks(1, "web", 3);
        web.sort_by_key(|task| task.node);
        assert_eq!(web.iter().map(|task| task.node).collect::<Vec<_>>(), [1, 2, 3]);
        let virtual_address = virtual_address(&fleet, "web");
        let echoes = web.iter().map(|task| Echo::begin(&task.space, task.node)).collect();
        let shop = Shop { fleet, web, cli, virtual_address, echoes };
        shop.await_answers(&[1, 2, 3], 3);
        Some(shop)
    }

    /// Waits until this many tasks answer through the virtual address and through the ports of these
    /// nodes.
    pub fn await_answers(&self, nodes: &[u8], count: usize) {
        for node in nodes {
            let (inside, outside) = (self.by_virtual_address(*node), self.by_port(*node));
            for load in [inside, outside] {
                let answers = |load: &Load| load.answers().len() == count;
                self.fleet.until("all tasks answer", || answers(&load));
                load.end();
            }
        }
    }

    /// Clients in the task `cli` of a node.
    pub fn by_virtual_address(&self, node: u8) -> Load {
        let space = &self.cli[usize::from(node) - 1].space;
        Load::http("virtual address", space, SocketAddr::new(self.virtual_address, 80))
    }

    /// Clients on another node, one of the first two.
    pub fn by_port(&self, node: u8) -> Load {
        let to = SocketAddr::new(self.fleet.address(node).into(), 8080);
        Load::http("published port", &self.fleet.host(node % 2 + 1), to)
    }

    pub fn udp_by_virtual_address(&self, node: u8) -> Load {
        let space = &self.cli[usize::from(node) - 1].space;
        Load::udp("UDP", space, SocketAddr::new(self.virtual_address, ECHO_PORT))
    }

    /// From the task `cli` of one node to the task of `web` of another.
    pub fn udp_to_task(&self, from: u8, to: u8) -> Load {
        let address = address_in(&self.web[usize::from(to) - 1].space).expect("an address");
        let to = SocketAddr::new(IpAddr::V4(address), ECHO_PORT);
        Load::udp("UDP to a task", &self.cli[usize::from(from) - 1].space, to)
    }
}
