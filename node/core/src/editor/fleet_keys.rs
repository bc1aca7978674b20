//! Edits of keys that every member is given: they come wrapped for the members, and nothing here can
//! open them.

use crdt_state::fleet_key::FleetKeyFact;
use crdt_state::read::{TokenState, clients, fleet_keys, tokens};
use crdt_state::secret::Batch;
use crdt_state::spec::{Facet, Life};
use crdt_state::token::{TokenEnd, TokenOrigin};
use crdt_state::{Kind, RecordKey, Stamp};

use super::Editor;
use super::secrets::add_keys;
use crate::edit::file::WrappedKeys;
use crate::edit::{Edited, Refusal};

impl Editor<'_> {
    /// Another key takes the place of all that are known here. What was made of them on the other side
    /// of a partition stays until the sides hear each other; then the newest counts. What follows from the
    /// key ends with it: the standing tokens, and the certificates of clients.
    pub(super) fn rotate_fleet_key(
        &mut self,
        fact: FleetKeyFact,
        keys: Batch,
    ) -> Result<Edited, Refusal> {
        self.end_fleet_keys(&[Kind::FLEET_KEY]);
        let is_open =
            |state: &TokenState| state.token.origin == TokenOrigin::Standing && state.end.is_none();
        for state in tokens(self.replica).into_iter().filter(is_open) {
            self.end_token(state.token.id, TokenEnd::Rotated)?;
        }
        for client in clients(self.replica) {
            self.revoke_client(client.id)?;
        }
        Ok(self.add_fleet_key(Kind::FLEET_KEY, fact, keys))
    }

    /// By which members seal what they keep on their disks from now on.
    pub(super) fn set_unlock_key(&mut self, fact: FleetKeyFact, keys: Batch) -> Edited {
        self.end_fleet_keys(&[Kind::UNLOCK_KEY]);
        self.add_fleet_key(Kind::UNLOCK_KEY, fact, keys)
    }

    fn add_fleet_key(&mut self, kind: Kind, fact: FleetKeyFact, keys: Batch) -> Edited {
        let key = RecordKey::fleet_key(kind, fact.id());
        let created: Stamp = self.replica.next_stamp();
        let life = Life::Present { name: String::new(), created };
        self.replica.edit(key, Facet::LIFE, &life, self.wall_ms);
        self.replica.edit(key, Facet::FLEET_KEY, &fact, self.wall_ms);
        let wrapped = WrappedKeys { secret: fact.id(), data: fact.check, keys };
        add_keys(self.replica, wrapped, self.wall_ms);
        Edited::Done
    }

    /// A node that joins another fleet brings no key of its own.
    pub(super) fn end_fleet_keys(&mut self, kinds: &[Kind]) -> Edited {
        for kind in kinds {
            for (_, fact) in fleet_keys(self.replica, *kind) {
                let key = RecordKey::fleet_key(*kind, fact.id());
                self.replica.remove(key, self.wall_ms).expect("it was just read");
            }
        }
        Edited::Done
    }
}
