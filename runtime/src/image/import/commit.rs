//! Makes an image of another one and of what a container wrote, as `docker commit` does: the layers of
//! that image, and one above them.

use std::io::Read;

use serde_json::{Map, Value, json};

use super::super::archive::{junk, spool};
use super::super::digest::Digest;
use super::super::error::ImageError;
use super::super::manifest::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use super::super::names::Origin;
use super::super::reference::Reference;
use super::super::{Image, Images, unpack};
use super::{changed, object};

/// What the image is besides its files.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// What the container was given, in the words of an image's configuration: it takes the place of
    /// what its image has.
    pub config: Map<String, Value>,
    /// Lines of a Dockerfile.
    pub changes: Vec<String>,
    /// What it is called; none is none.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// Said in its history.
    pub message: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

impl Images {
    /// Makes an image of a layer above those of `base`, and returns the digest of its manifest.
    pub fn commit(
        &self,
        base: &Image,
        layer: impl Read + Send,
        commit: &Commit,
    ) -> Result<Digest, ImageError> {
        let mut layer = unpack::storable(layer).map_err(|error| junk(error.into()))?;
        let (layer, size) = spool(self, &mut layer)?;
        let mut document = self.document_of(base)?;
        let diff_id = json!(self.diff_id(&layer)?);
        list(&mut document["rootfs"]["diff_ids"]).push(diff_id);
        list(&mut document["history"]).push(json!({
            "created": commit.created, "created_by": "edgectl commit", "author": commit.author,
            "comment": commit.message,
        }));
        document["created"] = json!(commit.created);
        let own = changed(&commit.changes)?;
        if !document["config"].is_object() {
            document["config"] = json!({});
        }
        let config = document["config"].as_object_mut().expect("it was made one");
        let given = commit.config.iter().chain(own.as_object().into_iter().flatten());
        for (name, value) in given {
            match value {
                // Labels, ports and volumes are added to those that are there.
                Value::Object(added) => object(config, name).extend(added.clone()),
                _ => drop(config.insert(name.clone(), value.clone())),
            }
        }
        let config = serde_json::to_vec(&document).expect("it has a form in JSON");
        let below = base.layers.iter().map(|layer| {
            json!({"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size})
        });
        let media_type = format!("{OCI_LAYER}{}", self.compression(&layer)?.suffix());
        let own = json!({"mediaType": media_type, "digest": layer, "size": size});
        let layers: Vec<Value> = below.chain([own]).collect();
        let config_digest = self.keep(&config)?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers,
            "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": config.len()},
        });
        let digest = self.keep(&serde_json::to_vec(&manifest).expect("it has a form in JSON"))?;
        match commit.name.clone().map(Reference::with_default_tag) {
            Some(name) => self.set_name(&name, &digest, Origin::Loaded)?,
            None => self.set_nameless(&digest, Origin::Loaded)?,
        }
        Ok(digest)
    }

    /// The configuration of an image with every field that it has.
    fn document_of(&self, base: &Image) -> Result<Value, ImageError> {
        let missing = || ImageError::Unknown(base.config_digest.to_string());
        let mut bytes = Vec::new();
        let mut blob = self.read_blob(&base.config_digest).ok_or_else(missing)?;
        blob.read_to_end(&mut bytes).map_err(|error| junk(error.into()))?;
        serde_json::from_slice(&bytes).map_err(|_| missing())
    }
}

fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    value.as_array_mut().expect("it was made one")
}
