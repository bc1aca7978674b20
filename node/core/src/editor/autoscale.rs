//! The number of replicas as operators write it, and autoscaling.

use crdt_state::autoscale::{Autoscale, DeclaredCount};
use crdt_state::service::Service;
use crdt_state::spec::{Facet, Scale};
use crdt_state::{RecordKey, ServiceId, read};

use super::Editor;
use crate::edit::ServiceSpec;

impl Editor<'_> {
    /// Writes autoscaling of a new service.
    pub(super) fn write_autoscale(&mut self, id: ServiceId, autoscale: Option<Autoscale>) {
        if autoscale.is_some() {
            let key = RecordKey::service(id);
            self.replica.edit(key, Facet::AUTOSCALE, &autoscale, self.wall_ms);
        }
    }

    /// Writes scale and autoscaling where they differ. The number of tasks in force stays: it is
    /// what is left when autoscaling is taken off, and what a new range begins with.
    pub(super) fn write_scale(&mut self, spec: &ServiceSpec, held: &Service) {
        let key = RecordKey::service(held.id);
        let is_given = spec.scale != held.written_scale;
        let is_taken_off = spec.autoscale.is_none() && held.autoscale.is_some();
        let scale = if is_taken_off && !is_given { held.scale } else { spec.scale };
        if scale != held.written_scale {
            self.replica.edit(key, Facet::SCALE, &scale, self.wall_ms);
        }
        if spec.autoscale == held.autoscale {
            return;
        }
        self.replica.edit(key, Facet::AUTOSCALE, &spec.autoscale, self.wall_ms);
        let first = match (scale, held.scale) {
            (Scale::Replicated { replicas }, _) if held.autoscale.is_none() => replicas,
            (_, Scale::Replicated { replicas }) => replicas,
            _ => return,
        };
        // A count of earlier, or one that was outside of the range, must not come back.
        let last = read::declared_count(self.replica, held.id);
        if let Some(last) = last.filter(|last| spec.autoscale.is_some() && last.count != first) {
            self.declare_count(held.id, last.round.saturating_add(1), first);
        }
    }

    fn declare_count(&mut self, id: ServiceId, round: u32, count: u32) {
        let mut says = read::scaling_of(self.replica, self.me);
        says.entry(id).or_default().declared = Some(DeclaredCount { round, count });
        self.replica.put_owned(RecordKey::scaling(self.me), &says, self.wall_ms);
    }
}
