//! The name servers of this node's containers: one for each, with sockets opened in its namespace.
//! A keeper holds the sockets while the agent is restarted.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crdt_state::task::Run;
use overlay::plan::{OverlayPlan, TaskPlan};
use overlay_dns::{Counters, NameServer, Sockets, Upstreams};
use overlay_linux::balancing::{NAME_SERVER, NAME_SERVER_PORT};
use overlay_linux::links::{Links, TaskNamespace};
use runtime::run_dir;

use super::names::{ContainerZone, FleetNames, ZoneNetwork};
use super::resolv_conf::HostServers;
use super::socket_keeper::SocketKeeper;
use super::task_servers;

/// All name servers of one node.
pub(super) struct Resolvers {
    servers: BTreeMap<Run, Resolver>,
    /// Why some could not be started. It is tried again.
    failed: BTreeMap<Run, String>,
    keeper: SocketKeeper,
    names: FleetNames,
    counters: Arc<Counters>,
    host: HostServers,
    /// What runs them.
    background: tokio::runtime::Handle,
}

/// The name server of one container.
struct Resolver {
    server: NameServer,
    zone: Arc<ContainerZone>,
    upstreams: Upstreams,
    namespace: TaskNamespace,
    plan: TaskPlan,
}

impl Resolvers {
    /// `directory`: of the keeper's socket.
    pub(super) fn new(
        names: FleetNames,
        background: tokio::runtime::Handle,
        directory: &Path,
    ) -> Resolvers {
        let mut host = HostServers::default();
        host.refresh();
        let (servers, failed, counters) = (BTreeMap::new(), BTreeMap::new(), Arc::default());
        let keeper = SocketKeeper::find(directory);
        Resolvers { servers, failed, keeper, names, counters, host, background }
    }

    /// Starts the name servers of attached tasks, tells them where their tasks are, and ends those
    /// of tasks that are gone.
    pub(super) fn apply(&mut self, plan: &OverlayPlan, links: &Links) {
        let is_over =
            |run: &Run, server: &NameServer| !plan.tasks.contains_key(run) || !server.is_running();
        for (run, _) in self.servers.extract_if(.., |run, held| is_over(run, &held.server)) {
            self.keeper.forget(run);
        }
        self.failed.retain(|run, _| plan.tasks.contains_key(run));
        for (run, task) in &plan.tasks {
            if let Some(resolver) = self.servers.get_mut(run) {
                if resolver.plan != *task {
                    resolver.zone.move_to(zone_networks(task));
                    let servers = task_servers::of_task(task, &self.host, &resolver.namespace);
                    resolver.upstreams.replace(servers);
                    resolver.plan.clone_from(task);
                }
                continue;
            }
            if links.interfaces(*run).is_none() {
                continue;
            }
            match self.start(*run, task, links) {
                Ok(resolver) => {
                    self.keeper.keep(*run, &resolver.server);
                    self.servers.insert(*run, resolver);
                    self.failed.remove(run);
                }
                Err(error) => _ = self.failed.insert(*run, error.to_string()),
            }
        }
    }

    /// The tasks that have no name server, as sentences.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        let name = |run: &Run| run_dir::name(*run);
        self.failed
            .iter()
            .map(move |(run, why)| format!("task {} has no name server: {why}", name(run)))
    }

    /// Starts what could not be started before, and keeps all sockets beyond this agent's life.
    /// Only for a plan that is known: what an earlier agent kept for other tasks is closed.
    pub(super) fn hold(&mut self, plan: &OverlayPlan, links: &Links) {
        if !self.failed.is_empty() {
            self.apply(plan, links);
        }
        let servers = self.servers.iter().map(|(run, resolver)| (*run, &resolver.server));
        self.keeper.keep_all(servers, |run| plan.tasks.contains_key(&run));
    }

    fn start(&mut self, run: Run, task: &TaskPlan, links: &Links) -> io::Result<Resolver> {
        let at = (NAME_SERVER, NAME_SERVER_PORT);
        let bind = || {
            let (udp, tcp) = (std::net::UdpSocket::bind(at)?, std::net::TcpListener::bind(at)?);
            Ok(Sockets { udp, tcp })
        };
        let kept = self.keeper.take(run);
        let namespace = links.task_namespace(run);
        let sockets = kept.map_or_else(|| namespace.enter(bind), Ok)?;
        // An agent of an earlier version listened at the port that is asked.
        if sockets.udp.local_addr()?.port() == NAME_SERVER_PORT {
            namespace.lead_to_name_server().map_err(io::Error::other)?;
        }
        let zone = Arc::new(ContainerZone::new(self.names.clone(), zone_networks(task)));
        let servers = task_servers::of_task(task, &self.host, &namespace);
        let upstreams = Upstreams::new(servers);
        let _runtime = self.background.enter();
        let counters = Arc::clone(&self.counters);
        let server = NameServer::start(sockets, zone.clone(), upstreams.clone(), counters)?;
        Ok(Resolver { server, zone, upstreams, namespace, plan: task.clone() })
    }

    /// Takes over the node's own name servers, if they changed.
    pub(super) fn follow_host(&mut self) {
        if self.host.refresh() {
            for resolver in self.servers.values() {
                let Resolver { plan, namespace, .. } = resolver;
                resolver.upstreams.replace(task_servers::of_task(plan, &self.host, namespace));
            }
        }
    }

    /// Ends all.
    pub(super) fn clear(&mut self) {
        self.servers.clear();
        self.keeper.end();
    }
}

fn zone_networks(task: &TaskPlan) -> Vec<ZoneNetwork> {
    let networks = task
        .interfaces
        .iter()
        .map(|interface| ZoneNetwork { id: interface.network, subnets: interface.subnets.clone() });
    networks.collect()
}
