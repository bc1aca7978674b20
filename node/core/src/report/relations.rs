//! What a service has to do with others, for people.

use crdt_state::ServiceId;
use crdt_state::service::Service;
use crdt_state::task::Slot;

use super::NodeReport;
use crate::expand::task_name;
use crate::reconciler::dependencies::not_waited_for;
use crate::reconciler::slot_order;

impl NodeReport<'_> {
    /// The slot of a lower number for which this one waits.
    pub(super) fn why_in_order(&self, service: &Service, slot: Slot) -> Option<String> {
        let lower = slot_order::lower(self.planner, service.id, slot)?;
        Some(format!(
            "waits for {}, which does not run healthy",
            task_name(&self.called(service), lower)
        ))
    }

    /// What a service depends on and does not wait for, one sentence each.
    pub fn not_waited_for(&self, id: ServiceId) -> Vec<String> {
        let Some(service) = self.catalog().services.get(&id) else { return Vec::new() };
        let called = self.called(service);
        let sentence = |(name, other): (&String, Option<_>)| {
            let why = match other {
                None => format!("there is no service {name} any more"),
                Some(_) => format!("{name} waits for {called} in turn"),
            };
            format!(
                "it depends on {name} and does not wait for it: {why}; to resolve it: edgectl service \
                 update --depends-on-rm {name} {called}"
            )
        };
        not_waited_for(self.catalog(), service).map(sentence).collect()
    }
}
