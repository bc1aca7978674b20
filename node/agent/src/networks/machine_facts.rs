//! What the node reports of this machine's own network, found again while the agent runs: a cable is
//! plugged in, an address changes, a route appears.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use crdt_state::network::NodeTunnel;
use node_core::NetworkFacts;
use overlay_linux::links::Links;
use tokio::sync::mpsc::WeakSender;

use super::news::NetworkNews;
use crate::command::Command;
use crate::own_addresses::OwnAddresses;

/// Finds the facts, and reports them to the node when they changed. Clones share what was reported.
#[derive(Clone)]
pub(super) struct Reporter {
    own_addresses: OwnAddresses,
    reported: Arc<Mutex<Reported>>,
}

#[derive(Default)]
struct Reported {
    last: Option<NetworkFacts>,
    addresses: Vec<String>,
    /// What is said of the tunnel, and whether the node was told.
    tunnel: (Option<NodeTunnel>, bool),
    commands: Option<WeakSender<Command>>,
}

impl Reporter {
    pub(super) fn new(own_addresses: OwnAddresses) -> Reporter {
        Reporter { own_addresses, reported: Arc::default() }
    }

    pub(super) fn connect(&self, commands: WeakSender<Command>) {
        let mut reported = self.reported.lock().expect("nothing panics while it holds this");
        reported.commands = Some(commands);
        reported.tell_tunnel();
    }

    /// What this machine's network is like now.
    pub(super) fn find(&self, links: &mut Links) -> NetworkFacts {
        let facts = self.inspect(links);
        let mut reported = self.reported.lock().expect("nothing panics while it holds this");
        reported.last = Some(facts.clone());
        reported.addresses = self.own_addresses.texts();
        facts
    }

    /// Finds the facts again, and reports them if they changed.
    pub(super) fn report(&self, links: &mut Links) {
        let facts = self.inspect(links);
        let addresses = self.own_addresses.texts();
        let mut reported = self.reported.lock().expect("nothing panics while it holds this");
        reported.tell_addresses(addresses);
        if reported.last.as_ref() == Some(&facts) {
            return;
        }
        let commands = reported.commands.as_ref().and_then(WeakSender::upgrade);
        // A full queue: it is tried again with the next look.
        let is_sent = commands
            .is_some_and(|commands| commands.try_send(Command::Networks(facts.clone())).is_ok());
        if is_sent {
            reported.last = Some(facts);
        }
    }

    /// Reports what the node says of its tunnel, if that changed.
    pub(super) fn report_tunnel(&self, said: &NodeTunnel) {
        let mut reported = self.reported.lock().expect("nothing panics while it holds this");
        if reported.tunnel.0.as_ref() != Some(said) {
            reported.tunnel = (Some(said.clone()), false);
        }
        reported.tell_tunnel();
    }

    /// Tells what was repaired. It is lost if the node's thread is that busy; the log has it.
    pub(super) fn tell(&self, news: NetworkNews) {
        let reported = self.reported.lock().expect("nothing panics while it holds this");
        if let Some(commands) = reported.commands.as_ref().and_then(WeakSender::upgrade) {
            let _ = commands.try_send(Command::NetworkNews(news));
        }
    }

    fn inspect(&self, links: &mut Links) -> NetworkFacts {
        let data_address = self.own_addresses.data_address();
        // Without an address there is no link whose packets have a size.
        match links.survey(data_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))) {
            Ok(survey) => NetworkFacts {
                refusal: String::new(),
                data_address,
                mtu: survey.mtu,
                routes: survey.routes,
            },
            Err(error) => {
                tracing::warn!("networks: the routes of this machine cannot be read: {error}");
                NetworkFacts { refusal: String::new(), data_address, mtu: 0, routes: Vec::new() }
            }
        }
    }
}

impl Reported {
    /// A cable that is pulled takes all addresses away: then the last ones are the best to try.
    fn tell_addresses(&mut self, found: Vec<String>) {
        if found.is_empty() || self.addresses == found {
            return;
        }
        let commands = self.commands.as_ref().and_then(WeakSender::upgrade);
        let is_sent = commands
            .is_some_and(|commands| commands.try_send(Command::Addresses(found.clone())).is_ok());
        if is_sent {
            self.addresses = found;
        }
    }

    /// Before the node's thread runs nobody can be told; it is made up for when it does.
    fn tell_tunnel(&mut self) {
        let (Some(said), false) = &self.tunnel else { return };
        let commands = self.commands.as_ref().and_then(WeakSender::upgrade);
        self.tunnel.1 = commands
            .is_some_and(|commands| commands.try_send(Command::Tunnel(said.clone())).is_ok());
    }
}
