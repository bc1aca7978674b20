//! Edits of secrets: they come sealed, with their keys wrapped. Nothing here can open one.

use crdt_state::replica::Replica;
use crdt_state::secret::{RECIPIENTS_MAX, SecretKeys};
use crdt_state::service::Service;
use crdt_state::{FileClass, FileId, RecordKey, SecretId, read};

use super::Editor;
use super::files::{NewFile, missing};
use crate::edit::file::{SecretRequest, WrappedKeys};
use crate::edit::{Edited, Refusal, ServiceSpec, check_size};

impl Editor<'_> {
    pub(super) fn create_secret(&mut self, request: &SecretRequest) -> Result<Edited, Refusal> {
        request.check()?;
        self.check_new(FileClass::Secret, &request.name, &request.labels)?;
        let id = self.write_secret(request);
        self.empty_removed();
        Ok(Edited::Secret(id))
    }

    /// A secret of the same name takes the place of one. Every service that uses it gets the new one,
    /// which is a change of its template and rolled out as its update policy says; the old one stays
    /// readable for tasks that were not replaced yet, and for a rollback. Nothing in it can be refused
    /// half way: of a service only an id changes.
    pub(super) fn rotate_secret(
        &mut self,
        id: SecretId,
        mut request: SecretRequest,
    ) -> Result<Edited, Refusal> {
        let held = self.catalog().files.files.get(&FileId::Secret(id));
        let held = held.ok_or_else(|| missing(id.into()))?;
        request.name.clone_from(&held.name);
        if request.labels.is_empty() {
            request.labels.clone_from(&held.labels);
        }
        request.check()?;
        check_size("the labels", &request.labels)?;
        let users: Vec<Service> = self.users(id.into()).cloned().collect();
        self.empty_removed();
        let new = self.write_secret(&request);
        for service in users {
            let mut spec = ServiceSpec::of(&service);
            let secrets = &mut spec.template.extension.secrets;
            secrets.iter_mut().filter(|file| file.id == id).for_each(|file| file.id = new);
            self.replace_template(&service, spec);
        }
        self.replica.remove(RecordKey::secret(id), self.wall_ms).expect("it was just read");
        Ok(Edited::Secret(new))
    }

    fn write_secret(&mut self, request: &SecretRequest) -> SecretId {
        let key = |id| RecordKey::secret(SecretId(id));
        let id = SecretId(self.new_id("edgectl secret id 1", &request.name, key));
        let SecretRequest { name, labels, sealed, template, .. } = request;
        let file = NewFile { name, labels, data: sealed, template: *template };
        self.write_file(id.into(), &file);
        let data = *blake3::hash(&request.sealed).as_bytes();
        let wrapped = WrappedKeys { secret: id, data, keys: request.keys.clone() };
        add_keys(self.replica, wrapped, self.wall_ms);
        id
    }
}

/// Adds keys that this node wrapped to its record, unless the secret has other data by now, or the key
/// of the fleet is another one.
pub(crate) fn add_keys(replica: &mut Replica, wrapped: WrappedKeys, wall_ms: u64) {
    let WrappedKeys { secret, data, mut keys } = wrapped;
    if read::wrapped_data(replica, secret) != Some(data) {
        return;
    }
    let me = replica.me();
    let key = RecordKey::secret_keys(me, secret);
    let said = replica.owned::<SecretKeys>(&key).map(|(_, said)| said);
    let said = said.filter(|said| said.data == data);
    let mut said = said.unwrap_or_else(|| SecretKeys::none(me, secret, data));
    keys.keys.retain(|(node, _)| said.key_for(*node).is_none());
    keys.keys.truncate(RECIPIENTS_MAX.saturating_sub(said.recipients().count()));
    if !keys.keys.is_empty() {
        said.batches.push(keys);
        replica.put_owned(key, &said, wall_ms);
    }
}
