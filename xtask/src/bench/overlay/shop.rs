//! The fleet of `bench overlay`: five nodes with a network and containers of busybox.

use crate::fleet::place::Place;
use crate::fleet::view::Task;
use crate::fleet::{Fleet, Links, Node};
use crate::image;
use anyhow::{Context, Result, bail};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// Nodes, as in the other benches.
const NODES: usize = 5;
/// Much longer than every limit, so that a miss gives a number and not an error.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// What the containers run.
pub const IMAGE: &str = "bench:small";
/// The network that all services are on, unless they say otherwise.
pub const NETWORK: &str = "back";
/// Flags of a service that serves HTTP on port 80, and says when it does.
pub const WEB: [&str; 7] = [
    "--init",
    "--health-cmd",
    "wget -qO /dev/null http://127.0.0.1/ && { [ -e /tmp/healthy ] || touch /tmp/healthy; }",
    "--health-interval",
    "200ms",
    "--health-retries",
    "3",
];
/// Its image and program, for a client or two at a time. Told to end, it takes no more connections and
/// finishes what it has begun: the children that answer live on for a second.
pub const SERVE: [&str; 4] = [
    IMAGE,
    "sh",
    "-c",
    "hostname > /www/index.html; httpd -f -p 80 -h /www & trap \"kill $!; sleep 1\" TERM; wait; wait",
];
/// A program that does nothing.
pub const IDLE: [&str; 3] = [IMAGE, "sleep", "100000"];

/// The fleet.
pub struct Shop {
    /// Its lab.
    pub fleet: Fleet,
}

impl Shop {
    /// Starts it.
    pub fn open(edgectl: &Path, lab: &str) -> Result<Shop> {
        let fleet = Fleet::up(edgectl, lab, NODES)?;
        if fleet.links == Links::Loopback {
            fleet.down()?;
            bail!("networks need root; type: sudo -E cargo xtask bench overlay");
        }
        let shop = Shop { fleet };
        let archive = shop.fleet.dir.join("small.tar");
        image::busybox(IMAGE, &[], &archive)?;
        let archive = archive.to_str().context("the lab's folder is no text")?;
        shop.on_first(&["image", "push", archive])?;
        shop.network(NETWORK, &[])?;
        // Every node takes the image once, and part in the network.
        shop.create("cli", &["--mode", "global"], &IDLE)?;
        shop.running("cli", NODES)?;
        Ok(shop)
    }

    /// Takes it down, and hands on what was measured.
    pub fn close<T>(self, measured: Result<T>) -> Result<T> {
        self.fleet.down()?;
        measured
    }

    /// `edgectl` at the first node.
    pub fn on_first(&self, words: &[&str]) -> Result<String> {
        self.fleet.edgectl(&self.fleet.nodes[0], words)
    }

    /// Creates a network, and waits until every node knows it.
    pub fn network(&self, name: &str, flags: &[&str]) -> Result<()> {
        self.on_first(&[&["network", "create"], flags, &[name]].concat())?;
        self.fleet.wait("every node knows the network", TIMEOUT, || {
            let asked = |node| self.fleet.get(node, &format!("/networks/{name}"));
            self.fleet.nodes.iter().try_for_each(|node| asked(node).map(drop)).map(|()| true)
        })?;
        Ok(())
    }

    /// Creates a service on the network.
    pub fn create(&self, name: &str, flags: &[&str], program: &[&str]) -> Result<()> {
        let create = ["service", "create", "--detach", "--no-resolve-image", "--name", name];
        let network = ["--network", NETWORK];
        let on_one = flags.contains(&"--network");
        let network: &[&str] = if on_one { &[] } else { &network };
        self.on_first(&[&create, network, flags, program].concat()).map(drop)
    }

    /// Waits until so many tasks of a service run and are healthy, and no other; returns them.
    pub fn running(&self, name: &str, count: usize) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        self.fleet.wait(&format!("{count} tasks of {name} run"), TIMEOUT, || {
            tasks = self.tasks(name)?;
            Ok(tasks.len() == count && tasks.iter().all(Task::is_serving))
        })?;
        Ok(tasks)
    }

    /// The wanted tasks of a service, as the first node sees them.
    pub fn tasks(&self, name: &str) -> Result<Vec<Task>> {
        let first = &self.fleet.nodes[0];
        let service = self.fleet.get(first, &format!("/services/{name}"))?;
        let mut tasks = self.fleet.tasks(first)?;
        tasks.retain(|task| service["ID"] == task.service.as_str());
        Ok(tasks)
    }

    /// Removes a service and waits until all its tasks are gone.
    pub fn remove(&self, name: &str) -> Result<()> {
        let first = &self.fleet.nodes[0];
        let id = self.fleet.get(first, &format!("/services/{name}"))?["ID"].clone();
        self.on_first(&["service", "rm", name])?;
        self.fleet.wait("the service is gone", TIMEOUT, || {
            let mut nodes = self.fleet.nodes.iter();
            nodes.try_fold(true, |gone, node| {
                Ok(gone && self.fleet.tasks(node)?.iter().all(|task| id != task.service.as_str()))
            })
        })?;
        Ok(())
    }

    /// The task that waits on a node, for clients to run in.
    pub fn client(&self, node: &Node) -> Result<Place> {
        let tasks = self.running("cli", NODES)?;
        let own = tasks.iter().find(|task| task.is_on(&node.name));
        own.map(Place::of_task).context("every node has a task of cli")
    }

    /// The address of a name, as a container sees it.
    pub fn resolve(&self, from: &Place, name: &str) -> Result<IpAddr> {
        let found: crate::load::names::Awaited = from.load(&["await", name])?;
        Ok(found.address.into())
    }
}
