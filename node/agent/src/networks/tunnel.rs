//! This node's tunnel: its process, the rules that keep encrypted networks inside, and what the node
//! says of it.
//!
//! The process is there while this node takes part in an encrypted network, or reaches a node in no
//! other way, and outlives the agent.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crdt_state::network::NodeTunnel;
use overlay::plan::VXLAN_PORT;
use overlay::tunnel::{DETOUR_PORT, TUNNEL_PORT, TunnelPlan};
use overlay_linux::balancing::{Intact, TunnelGuard};
use overlay_linux::links::Links;
use overlay_tunnel::TunnelKey;
use overlay_tunnel::client::{Setup, Tunnel, TunnelError};
use overlay_tunnel::control::{PeerState, State};

/// How long to wait before a process that did not start is started again, and before it is looked
/// again whether one could be started.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// The tunnel of this node.
pub(super) struct NodeTunnelHolder {
    tunnel: Tunnel,
    key: TunnelKey,
    /// Two agents of one machine have different tables.
    tag: String,
    guard: Option<(TunnelGuard, BTreeSet<u32>)>,
    /// Numbers of networks that devices of somebody else have.
    foreign: BTreeSet<u32>,
    /// Why there is no process, and when that was found out.
    failed: Option<(String, Instant)>,
    refusal: String,
    looked_at: Instant,
    life: u64,
    /// The addresses of peers that packets wait for in vain.
    silent: BTreeSet<Ipv6Addr>,
    /// There may be a process, of an earlier agent perhaps.
    may_be_there: bool,
}

impl NodeTunnelHolder {
    /// Looks whether this machine can have a tunnel, or has one; starts nothing. `key` is the node's own.
    pub(super) fn new(links: &Links, directory: &Path, tag: &str, key: TunnelKey) -> Self {
        let (program, link) = (PathBuf::from("/proc/self/exe"), links.tunnel_link());
        let (directory, port) = (directory.to_owned(), TUNNEL_PORT);
        let mut tunnel = Tunnel::new(Setup { program, directory, link, port });
        let life = tunnel.find().unwrap_or_default();
        NodeTunnelHolder {
            tunnel,
            key,
            tag: tag.to_owned(),
            guard: None,
            foreign: BTreeSet::new(),
            failed: None,
            refusal: overlay_tunnel::is_able().err().unwrap_or_default(),
            looked_at: Instant::now(),
            life,
            silent: BTreeSet::new(),
            may_be_there: true,
        }
    }

    /// What the node says of its tunnel.
    pub(super) fn said(&self) -> NodeTunnel {
        NodeTunnel {
            refusal: self.refusal.clone(),
            public_key: self.key.public(),
            port: TUNNEL_PORT,
            life: self.life,
        }
    }

    /// Can this machine have no tunnel?
    pub(super) fn is_refused(&self) -> bool {
        !self.refusal.is_empty()
    }

    /// Before the links of a plan are made: the rules, and the device that they need. Returns what
    /// could not be done.
    pub(super) fn prepare(&mut self, plan: Option<&TunnelPlan>, links: &Links) -> Vec<String> {
        let Some(plan) = plan else { return Vec::new() };
        self.may_be_there = true;
        let mut failures = self.apply_guard(plan, links);
        if self.failed.as_ref().is_none_or(|(_, at)| at.elapsed() >= RETRY_INTERVAL) {
            self.hold(plan);
        }
        failures.extend(self.failed.iter().map(|(reason, _)| format!("tunnel: {reason}")));
        failures
    }

    /// After the links of a plan are made. `foreign` are the numbers of networks whose device is
    /// not there.
    pub(super) fn finish(
        &mut self,
        plan: Option<&TunnelPlan>,
        foreign: BTreeSet<u32>,
        links: &Links,
    ) -> Vec<String> {
        self.foreign = foreign;
        match plan {
            Some(plan) => self.apply_guard(plan, links),
            None => {
                self.end(links);
                Vec::new()
            }
        }
    }

    fn apply_guard(&mut self, plan: &TunnelPlan, links: &Links) -> Vec<String> {
        let vnis: BTreeSet<u32> = plan.vnis.difference(&self.foreign).copied().collect();
        if self.guard.as_ref().is_some_and(|(_, held)| *held == vnis) {
            return Vec::new();
        }
        let link = links.tunnel_link();
        match TunnelGuard::write(links.host_namespace(), &self.tag, &link, &vnis) {
            Ok(guard) => self.guard = Some((guard, vnis)),
            Err(error) => return vec![format!("the rules around the tunnel: {error}")],
        }
        Vec::new()
    }

    fn hold(&mut self, plan: &TunnelPlan) {
        if !self.tunnel.is_alive()
            && let Some(reason) = self.tunnel.end_reason()
        {
            tracing::warn!("networks: the process of the tunnel ended: {reason}");
        }
        let peers = plan.peers.iter().map(|(address, end)| PeerState {
            public_key: end.public_key,
            address: *address,
            endpoint: end.endpoint,
            life: end.life,
            is_only_way: end.is_only_way,
        });
        let state = State {
            key: self.key.clone(),
            address: plan.address,
            // Nothing else goes through the tunnel.
            carried_ports: vec![VXLAN_PORT, DETOUR_PORT],
            peers: peers.collect(),
        };
        match self.tunnel.hold(&state) {
            Ok(life) => {
                (self.life, self.failed) = (life, None);
                self.refusal.clear();
            }
            Err(error) => {
                let reason = error.to_string();
                // One that does not answer is started again, and says nothing of the machine.
                if !matches!(error, TunnelError::Silent(_)) {
                    self.refusal.clone_from(&reason);
                }
                self.failed = Some((reason, Instant::now()));
            }
        }
    }

    /// The addresses in it that packets wait for in vain.
    pub(super) fn silent(&self) -> &BTreeSet<Ipv6Addr> {
        &self.silent
    }

    /// To be called each second. Returns whether something of the tunnel is not there.
    pub(super) fn is_lost(&mut self, plan: Option<&TunnelPlan>) -> bool {
        if plan.is_none() {
            self.look_again();
            return false;
        }
        let intact = self.guard.as_mut().map(|(guard, _)| guard.is_intact());
        if !matches!(intact, Some(Ok(Intact::Yes))) {
            self.guard = None;
            return true;
        }
        if self.looked_at.elapsed() >= RETRY_INTERVAL {
            self.looked_at = Instant::now();
            self.silent = self.tunnel.silent().into_iter().collect();
        }
        !self.tunnel.is_alive()
    }

    /// A module may be loaded meanwhile, and another program may have taken the port.
    fn look_again(&mut self) {
        // Until a plan says otherwise, what has the port may be our own, of an earlier agent.
        if self.may_be_there || self.looked_at.elapsed() < RETRY_INTERVAL {
            return;
        }
        self.looked_at = Instant::now();
        let is_able = if self.refusal.is_empty() { Ok(()) } else { overlay_tunnel::is_able() };
        let is_able = is_able.and_then(|()| overlay_tunnel::is_free(TUNNEL_PORT));
        self.refusal = is_able.err().unwrap_or_default();
    }

    /// Ends the process and removes the rules, also those of an earlier agent.
    pub(super) fn end(&mut self, links: &Links) {
        if !std::mem::take(&mut self.may_be_there) {
            return;
        }
        self.failed = None;
        self.silent.clear();
        self.tunnel.end();
        self.guard = None;
        if let Err(error) = TunnelGuard::remove(links.host_namespace(), &self.tag) {
            tracing::warn!("networks: {error}");
        }
    }
}
