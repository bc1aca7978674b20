//! Writes images of this node to an archive that every tool can load.
//!
//! Each blob is written once, however many images share it. The bytes depend on the images alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde_json::json;

use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::manifest::{Descriptor, Document, OCI_INDEX, OCI_MANIFEST};
use crate::image::reference::Reference;
use crate::image::{Image, Images};

use super::{BLOBS, DockerImage, FULL_NAME, INDEX, Index, MANIFESTS, REF_NAME};

/// What goes into an archive.
pub struct Selection {
    blobs: BTreeSet<Digest>,
    index: Index,
    docker: Vec<DockerImage>,
}

impl Images {
    /// Looks up what is to be saved, before the first byte is written.
    ///
    /// # Errors
    /// [`ImageError::Unknown`]; or a blob of it is not here.
    pub fn select(&self, names: &[String]) -> Result<Selection, ImageError> {
        let mut selection = Selection {
            blobs: BTreeSet::new(),
            index: Index {
                schema_version: 2,
                media_type: OCI_INDEX.to_owned(),
                manifests: Vec::new(),
            },
            docker: Vec::new(),
        };
        for text in names {
            let digest = self.resolve(text)?;
            let name = Reference::from_str(text)
                .ok()
                .filter(|name| name.digest.is_none() && self.digest_of(name).is_some());
            self.add(&digest, name.map(Reference::with_default_tag), &mut selection)?;
        }
        Ok(selection)
    }

    fn add(
        &self,
        digest: &Digest,
        name: Option<Reference>,
        selection: &mut Selection,
    ) -> Result<(), ImageError> {
        let unknown = || ImageError::Unknown(digest.to_string());
        let shown = self.shown(digest)?.ok_or_else(unknown)?;
        let media_type = match self.document(digest)?.ok_or_else(unknown)? {
            Document::Manifest(_) => OCI_MANIFEST,
            Document::Index(_) => OCI_INDEX,
        };
        let whole: Vec<Image> = self.builds_of(digest)?;
        if whole.is_empty() {
            let missing = shown.layers.iter().find(|layer| self.has_blob(&layer.digest).is_none());
            let missing = missing.map_or(digest, |layer| &layer.digest);
            return Err(ImageError::Unknown(missing.to_string()));
        }
        selection.blobs.insert(digest.clone());
        selection.blobs.extend(self.builds(digest)?.indexes);
        for image in &whole {
            selection.blobs.extend([image.manifest.clone(), image.config_digest.clone()]);
            selection.blobs.extend(image.layers.iter().map(|layer| layer.digest.clone()));
        }
        let annotations = name.as_ref().map(|name| {
            let tag = name.tag.clone().unwrap_or_default();
            BTreeMap::from([(FULL_NAME.to_owned(), name.canonical()), (REF_NAME.to_owned(), tag)])
        });
        selection.index.manifests.push(Descriptor {
            media_type: media_type.to_owned(),
            digest: digest.clone(),
            size: self.has_blob(digest).ok_or_else(unknown)?,
            platform: None,
            annotations,
        });
        let file = |digest: &Digest| format!("{BLOBS}{}", digest.hex());
        selection.docker.push(DockerImage {
            config: file(&shown.config_digest),
            repo_tags: name.map(|name| vec![name.to_string()]),
            layers: shown.layers.iter().map(|layer| file(&layer.digest)).collect(),
        });
        Ok(())
    }

    /// The builds of a digest whose every blob is here.
    fn builds_of(&self, digest: &Digest) -> Result<Vec<Image>, ImageError> {
        let mut whole = Vec::new();
        for candidate in self.builds(digest)?.manifests {
            let Some(image) = self.image_of_manifest(&candidate)? else { continue };
            if image.layers.iter().all(|layer| self.has_blob(&layer.digest) == Some(layer.size)) {
                whole.push(image);
            }
        }
        Ok(whole)
    }

    /// Writes an archive.
    ///
    /// # Errors
    /// Of `out`, or of a blob that was removed since it was selected.
    pub fn save(&self, selection: &Selection, out: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        add(&mut tar, "oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        for digest in &selection.blobs {
            let file = self.read_blob(digest).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("{digest} was removed meanwhile"))
            })?;
            let size = file.metadata()?.len();
            append(&mut tar, &format!("{BLOBS}{}", digest.hex()), size, file)?;
        }
        add(&mut tar, INDEX, &serde_json::to_value(&selection.index)?)?;
        add(&mut tar, MANIFESTS, &serde_json::to_value(&selection.docker)?)?;
        tar.into_inner()?.flush()
    }
}

fn add(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    document: &serde_json::Value,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(document)?;
    append(tar, name, bytes.len() as u64, bytes.as_slice())
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    tar.append_data(&mut header, name, data)
}
