//! Edits in the words of whoever types them, for the audit log.

use crdt_state::{FileId, NetworkId, ServiceId};

use crate::Edit;
use crate::edit::Steer;
use crate::node::Node;

impl Node {
    /// What an edit does: `service update web`; `None` if it is upkeep that nobody asked for.
    pub fn words_of(&self, edit: &Edit) -> Option<String> {
        let words = match edit {
            Edit::CreateService(spec) => format!("service create {}", spec.name),
            Edit::UpdateService { id, .. } => format!("service update {}", self.service_name(*id)),
            Edit::RollBackService { id, .. } => {
                format!("service rollback {}", self.service_name(*id))
            }
            Edit::SteerRollout { id, steer } => {
                let how = match steer {
                    Steer::Pause => "pause",
                    Steer::Resume => "resume",
                    Steer::Promote => "promote",
                };
                format!("service {how} {}", self.service_name(*id))
            }
            Edit::RemoveService { id } => format!("service rm {}", self.service_name(*id)),
            Edit::UpdateNode { id, .. } => format!("node update {}", self.hostname(*id)),
            Edit::RemoveNode { id, .. } => format!("node rm {}", self.hostname(*id)),
            Edit::ReplaceNode { id, by, .. } => {
                format!("node replace {} --with {}", self.hostname(*id), self.hostname(*by))
            }
            Edit::PutImage { name, .. } => format!("image publish {name}"),
            Edit::RemoveImage { name } => format!("image rm {name}"),
            Edit::GiveUpVolume { node, name } => {
                format!("volume rm {name} on {}", self.hostname(*node))
            }
            Edit::TakeName { id } => format!("conflicts pick {}", self.service_name(*id)),
            Edit::CreateNetwork(request) => format!("network create {}", request.name),
            Edit::RemoveNetwork { id } => format!("network rm {}", self.network_name(*id)),
            Edit::PickLabel { .. } | Edit::PickConflict { .. } => "conflicts pick".to_owned(),
            Edit::Expected { edit, .. } | Edit::FromFile { edit, .. } => {
                return self.words_of(edit);
            }
            Edit::UpdateFleet { .. } => "swarm update".to_owned(),
            Edit::CreateConfig(request) => format!("config create {}", request.name),
            Edit::UpdateConfig { id, .. } => format!("config update {}", self.file_name(*id)),
            Edit::RemoveConfig { id } => format!("config rm {}", self.file_name(*id)),
            Edit::CreateSecret(request) => format!("secret create {}", request.name),
            Edit::UpdateSecret { id, .. } => format!("secret update {}", self.file_name(*id)),
            Edit::RemoveSecret { id } => format!("secret rm {}", self.file_name(*id)),
            Edit::RotateSecret { id, .. } => format!("secret rotate {}", self.file_name(*id)),
            Edit::AddClient { name, role, .. } => {
                format!("ca client --role {} {name}", role.as_str())
            }
            Edit::RevokeClient { id } => {
                let clients = crdt_state::read::clients(self.replica());
                let held = clients.iter().find(|client| client.id == *id);
                format!("ca revoke {}", held.map_or("", |client| client.name.as_str()))
            }
            Edit::RotateFleetKey { .. } => "swarm ca --rotate".to_owned(),
            Edit::SetUnlockKey(..) => "swarm update --autolock".to_owned(),
            Edit::EndUnlockKeys => "swarm update --autolock=false".to_owned(),
            Edit::CreateToken(_) => "swarm join-token".to_owned(),
            Edit::EndToken { id, .. } => format!("swarm join-token rm {id}"),
            Edit::TakeStack { .. }
            | Edit::StackMade { .. }
            | Edit::UseToken { .. }
            | Edit::EndFleetKeys => return None,
        };
        Some(words)
    }

    fn service_name(&self, id: ServiceId) -> String {
        let service = self.catalog().services.get(&id);
        service.map_or_else(|| id.to_string(), |service| service.name.clone())
    }

    fn network_name(&self, id: NetworkId) -> String {
        let network = self.catalog().networks.networks.get(&id);
        network.map_or_else(|| id.to_string(), |network| network.name.clone())
    }

    fn file_name(&self, id: impl Into<FileId>) -> String {
        let id = id.into();
        let file = self.catalog().files.files.get(&id);
        file.map_or_else(|| id.to_string(), |file| file.name.clone())
    }
}
