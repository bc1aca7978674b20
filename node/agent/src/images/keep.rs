//! Images of the fleet, without a registry: announced by a record, and copied to two more members
//! at once, so that no image is lost with one machine.

use crdt_state::ImageFact;
use node_core::Edit;
use runtime::image::manifest::Document;
use runtime::image::{Digest, ImageError, Origin, Reference};

use super::choice;
use super::document::document_here;
use super::{ImagePuller, PinSource, Pinned, PullError, PullRequest};
use crate::transport::PeerRequest;

/// Further members that get a copy.
const COPIES: usize = 2;

/// The result of copying an image to other members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copies {
    /// Members that have a copy.
    pub kept: Vec<String>,
    /// Members that were asked and have none yet, with the reason.
    pub failed: Vec<(String, String)>,
}

impl ImagePuller {
    /// The edit that announces an image of this node to the fleet, and its digest.
    pub async fn announcement(&self, reference: &Reference) -> Result<(Pinned, Edit), PullError> {
        let reference = reference.clone().with_default_tag();
        let unknown = || ImageError::Unknown(reference.to_string());
        let pinned = self.resolve_here(&reference.to_string()).await.ok_or_else(unknown)?;
        let size_bytes = self.size_of(&pinned.digest).await?;
        let digest = pinned.digest.to_string();
        let fact = ImageFact { digest, platforms: pinned.platforms.clone(), size_bytes };
        let name = reference.without_digest().canonical();
        Ok((Pinned { source: PinSource::Fleet, ..pinned }, Edit::PutImage { name, fact }))
    }

    /// The bytes of all blobs of an image on this node.
    async fn size_of(&self, digest: &Digest) -> Result<u64, PullError> {
        let mut size = self.0.images.has_blob(digest).unwrap_or(0);
        let mut documents = vec![digest.clone()];
        while let Some(digest) = documents.pop() {
            match document_here(&self.0.images, &digest).await? {
                Some(Document::Manifest(manifest)) => {
                    size += manifest.config.size;
                    size += manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
                }
                Some(Document::Index(builds)) if documents.len() < 64 => {
                    documents.extend(builds.into_iter().map(|build| build.digest));
                }
                _ => {}
            }
        }
        Ok(size)
    }

    /// Asks the two first members by rank to keep a copy; returns when they have it.
    pub async fn copy_out(&self, reference: &Reference, digest: &Digest) -> Copies {
        let members = self.0.members.alive().await;
        let ids = members.iter().map(|member| member.node);
        let chosen: Vec<_> = choice::ranked(digest, ids)
            .into_iter()
            .filter_map(|node| members.iter().find(|member| member.node == node))
            .take(COPIES)
            .collect();
        let name = reference.clone().with_default_tag().without_digest().to_string();
        let mut copies = Copies::default();
        for member in chosen {
            let request = PeerRequest::Keep { name: name.clone(), digest: digest.to_string() };
            match self.0.members.ask_long::<Result<(), String>>(member, request).await {
                Some(Ok(())) => copies.kept.push(member.name.clone()),
                Some(Err(why)) => copies.failed.push((member.name.clone(), why)),
                None => {
                    copies.failed.push((member.name.clone(), "it does not answer".to_owned()));
                }
            }
        }
        copies
    }

    /// Pulls a copy of an image of the fleet, at the request of a peer.
    pub(crate) async fn keep(&self, name: &str, digest: &str) -> Result<(), PullError> {
        let mut reference: Reference = name.parse()?;
        reference.digest = Some(digest.parse().map_err(runtime::image::BadReference::from)?);
        // It stays until the fleet's record of it is removed.
        let origin = Origin::ForTask;
        let request = PullRequest { reference: &reference, login: None, origin, events: None };
        self.fetch(request).await.map(drop)
    }
}
