//! What the node reports of this machine's own network, found again while the agent runs: a cable is
//! plugged in, an address changes, a route appears.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use node_core::NetworkFacts;
use overlay_linux::links::Links;
use tokio::sync::mpsc::WeakSender;

use crate::command::Command;
use crate::config::Config;
use crate::facts;

/// Finds the facts, and reports them to the node when they changed. Clones share what was reported.
#[derive(Clone)]
pub(super) struct Reporter {
    config: Arc<Config>,
    reported: Arc<Mutex<Reported>>,
}

#[derive(Default)]
struct Reported {
    last: Option<NetworkFacts>,
    commands: Option<WeakSender<Command>>,
}

impl Reporter {
    pub(super) fn new(config: Config) -> Reporter {
        Reporter { config: Arc::new(config), reported: Arc::default() }
    }

    pub(super) fn connect(&self, commands: WeakSender<Command>) {
        self.reported.lock().expect("nothing panics while it holds this").commands = Some(commands);
    }

    /// What this machine's network is like now.
    pub(super) fn find(&self, links: &mut Links) -> NetworkFacts {
        let facts = self.inspect(links);
        self.reported.lock().expect("nothing panics while it holds this").last =
            Some(facts.clone());
        facts
    }

    /// Finds the facts again, and reports them if they changed.
    pub(super) fn report(&self, links: &mut Links) {
        let facts = self.inspect(links);
        let mut reported = self.reported.lock().expect("nothing panics while it holds this");
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

    fn inspect(&self, links: &mut Links) -> NetworkFacts {
        let data_address = facts::data_address(&self.config);
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
