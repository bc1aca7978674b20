//! What is told when a route of this machine's site begins to meet a network.

use std::collections::BTreeSet;

use super::Addressing;
use crate::catalog::{Catalog, MetRoute};
use crate::event::{Event, Subject};

impl Addressing {
    /// The events of the routes that meet a network since the last call.
    pub(super) fn met_route_events(&mut self, catalog: &Catalog, wall_ms: u64) -> Vec<Event> {
        let own = self.facts.routes.iter().map(|route| (self.me, *route));
        let met: BTreeSet<MetRoute> = catalog.met_routes(own).collect();
        let event = |met: &MetRoute| Event {
            subject: Subject::Node { id: self.me, name: catalog.hostname(self.me) },
            action: "overlap",
            attributes: vec![("message", catalog.tell_met_route(met))],
            wall_ms,
        };
        let events = met.difference(&self.met_routes).map(event).collect();
        self.met_routes = met;
        events
    }
}
