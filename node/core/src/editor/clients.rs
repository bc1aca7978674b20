//! Edits of clients' certificates.

use crdt_state::client::ClientRole;
use crdt_state::read::clients;
use crdt_state::spec::{Facet, Life};
use crdt_state::{ClientId, RecordKey};

use super::Editor;
use crate::edit::client::{BadClient, is_client_name};
use crate::edit::{Edited, Refusal};

impl Editor<'_> {
    pub(super) fn add_client(
        &mut self,
        id: ClientId,
        name: String,
        role: ClientRole,
    ) -> Result<Edited, Refusal> {
        if !is_client_name(&name) {
            return Err(BadClient::Name(name).into());
        }
        if clients(self.replica).iter().any(|client| client.name == name) {
            return Err(BadClient::NameTaken(name).into());
        }
        let key = RecordKey::client(id);
        let created = self.replica.next_stamp();
        self.replica.edit(key, Facet::LIFE, &Life::Present { name, created }, self.wall_ms);
        self.replica.edit(key, Facet::CLIENT_ROLE, &role, self.wall_ms);
        Ok(Edited::Done)
    }

    pub(super) fn revoke_client(&mut self, id: ClientId) -> Result<Edited, Refusal> {
        if !clients(self.replica).iter().any(|client| client.id == id) {
            return Err(BadClient::Missing(id).into());
        }
        self.replica.remove(RecordKey::client(id), self.wall_ms).expect("it was just read");
        Ok(Edited::Done)
    }
}
