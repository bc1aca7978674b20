//! Loads images from an archive into the store of this node.
//!
//! Everything is verified before it gets a name. Docker's format has no manifest: it is built from
//! the configuration and the layers, with the same bytes on every node, so that an image that is
//! loaded twice in a fleet is one image.

use std::io::Read;
use std::str::FromStr;

use serde_json::json;

use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::manifest::{
    DOCUMENT_BYTES_MAX, Descriptor, Document, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST,
};
use crate::image::names::Origin;
use crate::image::reference::Reference;
use crate::image::unpack::{Compression, storable};
use crate::image::{Images, read};

use super::spool::{Spool, junk, spool};
use super::{DockerImage, FULL_NAME, INDEX, Index, MANIFESTS, REF_NAME};

/// An image that came from an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Of its manifest or index.
    pub digest: Digest,
    /// What it is called now; empty if the archive gave it no name.
    pub names: Vec<Reference>,
}

impl Images {
    /// Keeps the images of an archive, as it arrives. Compressed or not.
    ///
    /// # Errors
    /// Then nothing has a new name; blobs that were already verified help the next attempt.
    pub fn load(&self, stream: impl Read + Send) -> Result<Vec<Loaded>, ImageError> {
        let spool = Spool::fill(self, stream)?;
        let found = if let Some(index) = spool.document(self, INDEX)? {
            self.of_oci(&index, &spool)?
        } else if let Some(manifests) = spool.document(self, MANIFESTS)? {
            self.of_docker(&manifests, &spool)?
        } else {
            let why = "holds neither index.json nor manifest.json, so it is no image; for the tar \
                       of a file system there is edgectl image import";
            return Err(ImageError::Archive(why.to_owned()));
        };
        for image in &found {
            for name in &image.names {
                self.set_name(name, &image.digest, Origin::Loaded)?;
            }
            if image.names.is_empty() {
                self.set_nameless(&image.digest, Origin::Loaded)?;
            }
        }
        Ok(found)
    }

    fn of_oci(&self, index: &[u8], spool: &Spool) -> Result<Vec<Loaded>, ImageError> {
        let index: Index = serde_json::from_slice(index)
            .map_err(|error| ImageError::Archive(format!("has a bad index.json ({error})")))?;
        let mut found: Vec<Loaded> = Vec::new();
        for descriptor in &index.manifests {
            if descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown") {
                continue;
            }
            self.ensure_complete(&descriptor.digest)?;
            let names = named(descriptor);
            match found.iter_mut().find(|image| image.digest == descriptor.digest) {
                Some(image) => image.names.extend(names),
                None => found.push(Loaded { digest: descriptor.digest.clone(), names }),
            }
        }
        if found.is_empty() {
            return Err(ImageError::Archive("has an empty index.json".to_owned()));
        }
        // Some writers put the names into Docker's list only.
        if let ([image], Some(list)) = (found.as_mut_slice(), spool.document(self, MANIFESTS)?)
            && image.names.is_empty()
            && let Ok([listed]) = <[DockerImage; 1]>::try_from(docker_list(&list)?)
        {
            image.names = tags(&listed)?;
        }
        Ok(found)
    }

    /// At least one build of it must be here with all that it needs.
    fn ensure_complete(&self, digest: &Digest) -> Result<(), ImageError> {
        let lacks = |digest: &Digest| ImageError::Archive(format!("lacks the blob {digest}"));
        match self.document(digest)?.ok_or_else(|| lacks(digest))? {
            Document::Manifest(manifest) => {
                let image = self.image_of_manifest(digest)?;
                let image = image.ok_or_else(|| lacks(&manifest.config.digest))?;
                match image.layers.iter().find(|layer| !self.has_layer(layer)) {
                    Some(layer) => Err(lacks(&layer.digest)),
                    None => Ok(()),
                }
            }
            Document::Index(builds) => {
                let mut failed = Err(ImageError::malformed(digest, "has no build in it"));
                for build in &builds {
                    failed = self.ensure_complete(&build.digest);
                    if failed.is_ok() {
                        break;
                    }
                }
                failed
            }
        }
    }

    fn of_docker(&self, list: &[u8], spool: &Spool) -> Result<Vec<Loaded>, ImageError> {
        let mut found = Vec::new();
        for listed in docker_list(list)? {
            let digest = self.manifest_of(&listed, spool)?;
            found.push(Loaded { digest, names: tags(&listed)? });
        }
        if found.is_empty() {
            return Err(ImageError::Archive("has an empty manifest.json".to_owned()));
        }
        Ok(found)
    }

    /// Makes the manifest of an image in Docker's form.
    fn manifest_of(&self, listed: &DockerImage, files: &Spool) -> Result<Digest, ImageError> {
        let lacks = |name: &str| ImageError::Archive(format!("lacks its file {name}"));
        let (config, config_size) =
            files.blob(self, &listed.config)?.ok_or_else(|| lacks(&listed.config))?;
        let mut layers = Vec::new();
        for name in &listed.layers {
            let (digest, size) = files.blob(self, name)?.ok_or_else(|| lacks(name))?;
            let (digest, size) = self.as_layer(digest, size)?;
            let media_type = format!("{OCI_LAYER}{}", self.compression(&digest)?.suffix());
            layers.push(json!({"mediaType": media_type, "digest": digest, "size": size}));
        }
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config, "size": config_size},
            "layers": layers,
        }))
        .expect("a manifest has a form in JSON");
        self.ensure_content(&manifest, &config)?;
        self.keep(&manifest)
    }

    /// A blob as a layer may be: one that is compressed otherwise is kept once more, as its tar.
    fn as_layer(&self, digest: Digest, size: u64) -> Result<(Digest, u64), ImageError> {
        if self.compression(&digest)?.is_for_layers() {
            return Ok((digest, size));
        }
        let missing = || ImageError::Unknown(digest.to_string());
        let blob = self.read_blob(&digest).ok_or_else(missing)?;
        let mut stream = storable(blob).map_err(|error| junk(error.into()))?;
        spool(self, &mut stream)
    }

    /// A layer that is not compressed must be what the configuration says; the others show it
    /// when they are unpacked.
    fn ensure_content(&self, manifest: &[u8], config: &Digest) -> Result<(), ImageError> {
        let digest = Digest::of(manifest);
        let Document::Manifest(manifest) = Document::parse(&digest, manifest)? else {
            return Err(ImageError::malformed(&digest, "is no manifest"));
        };
        let bytes = self.0.blobs.read(config, DOCUMENT_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| ImageError::Archive(format!("lacks {config}")))?;
        let image = read::image(&digest, &manifest, &bytes)?;
        let plain = image.layers.iter().filter(|layer| layer.media_type == OCI_LAYER);
        match plain.into_iter().find(|layer| layer.digest != layer.diff_id) {
            Some(layer) => Err(ImageError::WrongDigest {
                expected: layer.diff_id.clone(),
                found: layer.digest.clone(),
            }),
            None => Ok(()),
        }
    }

    /// How a blob is compressed.
    pub(crate) fn compression(&self, digest: &Digest) -> Result<Compression, ImageError> {
        let mut start = Vec::new();
        let path = self.0.blobs.path(digest);
        std::fs::File::open(&path)
            .and_then(|file| file.take(Compression::START as u64).read_to_end(&mut start))
            .map_err(ImageError::disk("read", &path))?;
        Ok(Compression::of(&start))
    }
}

fn docker_list(bytes: &[u8]) -> Result<Vec<DockerImage>, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::Archive(format!("has a bad manifest.json ({error})")))
}

fn tags(listed: &DockerImage) -> Result<Vec<Reference>, ImageError> {
    let tags = listed.repo_tags.iter().flatten();
    tags.map(|tag| Ok(Reference::from_str(tag)?.with_default_tag())).collect()
}

/// What an index calls an image. A lone word may be a name or a tag, and is not believed: the
/// image has no name then.
fn named(descriptor: &Descriptor) -> Vec<Reference> {
    let Some(annotations) = &descriptor.annotations else { return Vec::new() };
    let whole = annotations.get(FULL_NAME);
    let part = annotations.get(REF_NAME).filter(|name| name.contains([':', '/']));
    let name = whole.or(part).and_then(|name| Reference::from_str(name).ok());
    name.map(|name| name.without_digest().with_default_tag()).into_iter().collect()
}
