//! Two dockerd that are a Docker Swarm, each in namespaces of its own, on links of their own.
//!
//! Links and folders have names of the lab's, and go with the lab; a guard removes the cgroups.

use crate::dockerd::{Daemon, POLL, SWEEP, TIMEOUT, program};
use crate::fleet::Fleet;
use crate::fleet::namespaces::{Namespaces, ip};
use crate::fleet::place::Place;
use crate::guard::Guard;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Instant;

const NODES: usize = 2;
const NETWORK: &str = "back";

/// The swarm. Fields are dropped in this order: processes first, then what they were in.
pub struct Swarm {
    nodes: Vec<Daemon>,
    _namespaces: Namespaces,
    _cgroups: Guard,
    /// The namespace of a container on the first node.
    pub client: Place,
    /// What dockerd says of itself.
    pub version: String,
}

/// A container of the swarm.
pub struct Container {
    /// Its network namespace.
    pub place: Place,
    /// Its files, as seen from here.
    pub root: PathBuf,
}

impl Swarm {
    /// Starts the daemons, joins them, and starts a container of `image` on each.
    pub fn up(fleet: &Fleet, image: &str) -> Result<Swarm> {
        let path = program::path()?;
        // Names of the lab's: what an interrupted run leaves is removed together with the lab.
        let name = format!("edgelab-{}-swarm", fleet.name());
        let cgroups = Guard::with_script(SWEEP, ["sweep".as_ref(), name.as_ref()])?;
        let namespaces = connect(&name)?;
        let mut nodes = Vec::new();
        for at in 0..NODES {
            let folder = fleet.dir.join(format!("swarm{at}"));
            nodes.push(Daemon::start(&format!("{name}{at}"), folder, &path)?);
        }
        for node in &mut nodes {
            node.wait()?;
            node.docker(&["load", "--input", text(&fleet.dir.join("small.tar"))?])?;
        }
        let version = nodes[0].docker(&["version", "--format", "Docker {{.Server.Version}}"])?;
        let client = Place::named(&name);
        let mut swarm =
            Swarm { nodes, _namespaces: namespaces, _cgroups: cgroups, client, version };
        swarm.join()?;
        swarm.client = swarm.start_client(image)?;
        Ok(swarm)
    }

    fn join(&self) -> Result<()> {
        let [first, second] = [&self.nodes[0], &self.nodes[1]];
        let init = ["swarm", "init", "--advertise-addr", &address(0)];
        first.docker(&[&init[..], &["--listen-addr", &format!("{}:2377", address(0))]].concat())?;
        let token = first.docker(&["swarm", "join-token", "--quiet", "worker"])?;
        let join = ["swarm", "join", "--advertise-addr", &address(1), "--token", &token];
        second.docker(&[&join[..], &[&format!("{}:2377", address(0))]].concat())?;
        first.docker(&["network", "create", "--driver", "overlay", NETWORK]).map(drop)
    }

    fn start_client(&self, image: &str) -> Result<Place> {
        // With it a name that is not there is answered at once, instead of asking servers outside,
        // which do not answer here.
        let flags = ["--dns-option", "ndots:1"];
        self.create_with("cli", 0, &flags, &[image, "sleep", "100000"])?;
        Ok(self.running("cli", 0)?.place)
    }

    /// What a client of the first node is to talk to.
    pub fn host(&self) -> String {
        self.nodes[0].host()
    }

    /// Creates a service of one task on a node.
    pub fn create(&self, name: &str, at: usize, program: &[&str]) -> Result<()> {
        self.create_with(name, at, &[], program)
    }

    fn create_with(&self, name: &str, at: usize, flags: &[&str], program: &[&str]) -> Result<()> {
        let id = self.nodes[at].docker(&["info", "--format", "{{.Swarm.NodeID}}"])?;
        let constraint = format!("node.id=={id}");
        let create = ["service", "create", "--detach", "--no-resolve-image", "--name", name];
        let on = ["--network", NETWORK, "--constraint", &constraint];
        self.nodes[0].docker(&[&create, &on[..], flags, program].concat()).map(drop)
    }

    /// Waits until the service's task runs on this node.
    pub fn running(&self, name: &str, at: usize) -> Result<Container> {
        let node = &self.nodes[at];
        let filter = format!("label=com.docker.swarm.service.name={name}");
        let begun = Instant::now();
        let id = loop {
            let id = node.docker(&["ps", "--quiet", "--no-trunc", "--filter", &filter])?;
            if !id.is_empty() {
                break id;
            }
            if begun.elapsed() > TIMEOUT {
                let tasks = ["service", "ps", "--format", "{{.CurrentState}} {{.Error}}", name];
                bail!("Swarm does not start {name}: {}", self.nodes[0].docker(&tasks)?);
            }
            sleep(POLL);
        };
        let format = "{{.NetworkSettings.SandboxKey}} {{.GraphDriver.Data.MergedDir}}";
        let said = node.docker(&["inspect", "--format", format, &id])?;
        let (sandbox, root) = said.split_once(' ').context("no sandbox of a container")?;
        Ok(Container { place: Place::at(&node.inside(sandbox)), root: node.inside(root) })
    }

    /// Removes a service, and waits for the end of its containers.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.nodes[0].docker(&["service", "rm", name])?;
        let filter = format!("label=com.docker.swarm.service.name={name}");
        let begun = Instant::now();
        for node in &self.nodes {
            while !node.docker(&["ps", "--quiet", "--filter", &filter])?.is_empty() {
                ensure!(begun.elapsed() < TIMEOUT, "Swarm does not stop {name}");
                sleep(POLL);
            }
        }
        Ok(())
    }
}

/// A namespace per node, and one with the bridge between them. They have no way to anywhere else, so
/// that Swarm's attempts to pull an image fail at once.
fn connect(name: &str) -> Result<Namespaces> {
    let mut namespaces = Namespaces::default();
    let bridge = namespaces.add(name.to_owned())?;
    ip(&format!("-n {bridge} link add br0 type bridge"))?;
    ip(&format!("-n {bridge} link set br0 up"))?;
    for at in 0..NODES {
        let node = namespaces.add(format!("{name}{at}"))?;
        ip(&format!("-n {node} link add eth0 type veth peer name node{at} netns {bridge}"))?;
        ip(&format!("-n {bridge} link set node{at} master br0 up"))?;
        ip(&format!("-n {node} link set lo up"))?;
        ip(&format!("-n {node} link set eth0 up"))?;
        ip(&format!("-n {node} address add {}/24 dev eth0", address(at)))?;
    }
    Ok(namespaces)
}

/// Of the block for measurements, which Docker's own pools keep clear of.
fn address(at: usize) -> String {
    format!("198.18.0.{}", at + 1)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the lab's folder is no text")
}
