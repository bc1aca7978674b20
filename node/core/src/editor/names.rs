//! Names of services when a conflict is resolved: a service that comes back gets a free name.

use crdt_state::limits::NAME_CHARS_MAX;
use crdt_state::service::{self, Service};
use crdt_state::spec::{Facet, Life};
use crdt_state::{Kind, RecordKey, ServiceId, Stamp};

use super::Editor;
use crate::edit::{Edited, Refusal};

impl Editor<'_> {
    pub(super) fn pick_conflict(
        &mut self,
        key: RecordKey,
        facet: Facet,
        stamp: Stamp,
    ) -> Result<Edited, Refusal> {
        let was_removed = matches!(self.replica.life(&key), Some(Life::Removed { .. }));
        self.replica.pick(key, facet, stamp, self.wall_ms).map_err(|_| Refusal::NoSuchConflict)?;
        if was_removed && key.kind == Kind::SERVICE {
            self.leave_name_to_others(ServiceId(key.id));
        }
        Ok(Edited::Done)
    }

    pub(super) fn take_name(&mut self, id: ServiceId) -> Result<Edited, Refusal> {
        let name = self.living(id)?.name;
        let shared = service::name_conflicts(self.replica);
        let shared = shared.into_iter().find(|shared| shared.name == name);
        let shared = shared.ok_or(Refusal::NoSuchConflict)?;
        for other in shared.others.into_iter().chain([shared.owner]).filter(|other| *other != id) {
            let other = self.living(other)?;
            self.rename_to_free(&other);
        }
        Ok(Edited::Service(id))
    }

    /// Renames a service that came back while another service has its name. Otherwise the name
    /// would lead to the service that came back, because the older service owns a name.
    fn leave_name_to_others(&mut self, id: ServiceId) {
        let Some(service) = Service::read(self.replica, id) else { return };
        let shared = service::name_conflicts(self.replica);
        if shared.iter().any(|shared| shared.name == service.name) {
            self.rename_to_free(&service);
        }
    }

    fn rename_to_free(&mut self, service: &Service) {
        let name = self.free_name(&service.name);
        let life = Life::Present { name, created: service.created };
        self.replica.edit(RecordKey::service(service.id), Facet::LIFE, &life, self.wall_ms);
    }

    /// `web-2`, or the name with the first higher number that no living service has.
    fn free_name(&self, name: &str) -> String {
        let numbered = (2u64..).map(|number| {
            let ending = format!("-{number}");
            let room = NAME_CHARS_MAX - ending.len();
            let stem: String = name.chars().take(room).collect();
            // An older version allowed dots; the new name follows the current rule.
            format!("{}{ending}", stem.replace('.', "-"))
        });
        let is_free = |name: &String| service::name_owner(self.replica, name).is_none();
        numbered.into_iter().find(is_free).expect("there are fewer services than numbers")
    }
}
