//! The named volumes of this node: reports the volumes on the disk to the node, and removes a
//! volume from both in one turn of the node's thread.

use std::collections::BTreeSet;

use crdt_state::read::volumes_of;
use crdt_state::volume::{NodeVolumes, VolumeFact};
use node_core::Input;
use runtime::volume::{VolumeError, Volumes, in_use};
use tokio::sync::oneshot;

use super::command::{Command, Unanswered};
use super::handle::Handle;
use super::machine::NodeLoop;

/// Why a volume was not removed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotRemoved {
    /// A task has it mounted.
    #[error("volume is in use: a task on this node mounts {0}; stop it, then remove the volume")]
    InUse(String),
    /// A service will mount it again.
    #[error(
        "the service {service} mounts the volume {name}: remove the service first, or repeat with \
         --force"
    )]
    Wanted {
        /// The volume.
        name: String,
        /// One of the services.
        service: String,
    },
    /// The disk refuses, or there is no such volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The agent is ending.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// May a volume be removed that services of the fleet still mount?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeRemoval {
    /// No: it holds data of the services.
    IfUnused,
    /// Yes.
    Forced,
}

/// The volumes on the disk, as the node publishes them.
pub(super) fn found(volumes: &Volumes) -> NodeVolumes {
    let fact = |volume: runtime::volume::Volume| {
        let created_wall_ms = volume.created_wall_ms;
        (volume.name, VolumeFact { id: volume.id, created_wall_ms, missing: false })
    };
    volumes.list().into_iter().map(fact).collect()
}

impl NodeLoop {
    /// Reports the volumes on the disk to the node.
    pub(super) fn report_volumes(&mut self) {
        self.step(Input::VolumesFound(found(&self.shared.volumes)));
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> Result<(), VolumeError> {
        let known = volumes_of(self.node.replica(), self.node.me()).contains_key(name);
        match self.shared.volumes.remove(name) {
            Err(VolumeError::Unknown(_)) if known => {}
            other => other?,
        }
        self.step(Input::VolumeRemoved { name: name.to_owned() });
        Ok(())
    }
}

impl Handle {
    /// The named volumes of this node. Their methods block.
    pub fn volumes(&self) -> &Volumes {
        &self.shared.volumes
    }

    /// The volumes that tasks of this node have mounted.
    pub async fn volumes_in_use(&self) -> BTreeSet<String> {
        let runs = self.shared.runs.clone();
        tokio::task::spawn_blocking(move || in_use(&runs)).await.unwrap_or_default()
    }

    /// Reports a volume that was just made; answered when the record of it is on this node's disk. A
    /// volume that was acknowledged and is lost with its disk is missing, and never begun anew.
    pub async fn report_volumes(&self) -> Result<(), Unanswered> {
        let (written, is_written) = oneshot::channel();
        self.send(Command::ReportVolumes { written }).await?;
        let _never_refused = self.until_written(is_written).await?;
        Ok(())
    }

    /// Removes a volume of this node and deletes its contents.
    pub async fn remove_volume(
        &self,
        name: &str,
        removal: VolumeRemoval,
    ) -> Result<(), NotRemoved> {
        if self.volumes_in_use().await.contains(name) {
            return Err(NotRemoved::InUse(name.to_owned()));
        }
        if removal == VolumeRemoval::IfUnused {
            let wanted = name.to_owned();
            let service = self.read(move |node| {
                let service = node.view().services_naming(&wanted).find_map(|id| node.service(id));
                service.map(|service| service.name.clone())
            });
            if let Some(service) = service.await? {
                return Err(NotRemoved::Wanted { name: name.to_owned(), service });
            }
        }
        let (removed, was_removed) = oneshot::channel();
        let (written, is_written) = oneshot::channel();
        self.send(Command::RemoveVolume { name: name.to_owned(), removed, written }).await?;
        was_removed.await.map_err(|_| Unanswered::Ending)??;
        let volumes = self.shared.volumes.clone();
        // It may take long; what is left is deleted the next time.
        tokio::task::spawn_blocking(move || volumes.sweep());
        let _never_refused = self.until_written(is_written).await?;
        Ok(())
    }
}
