//! The rows that are shown for the images of this node.

use std::collections::BTreeMap;

use super::digest::Digest;
use super::error::ImageError;
use super::names::Origin;
use super::reference::Reference;
use super::{Image, Images};

/// One image, under all of its names.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRow {
    /// What its names stand for: the digest of a manifest or an index.
    pub digest: Digest,
    /// How it came here, by the name that keeps it longest.
    pub origin: Origin,
    /// With tags, as people write them; empty if it has none.
    pub names: Vec<Reference>,
    /// The build for this node, or else the first that is here.
    pub image: Image,
    /// Of all blobs of that build, as they were fetched.
    pub size_bytes: u64,
}

/// One line of an image's history, oldest first in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// When, as the image says.
    pub created: Option<String>,
    /// By what.
    pub created_by: String,
    /// Free text.
    pub comment: String,
    /// Of the layer that it made, as it was fetched; 0 if it made none.
    pub size_bytes: u64,
}

impl Images {
    /// All images that are here, by digest. One that cannot be read is left out.
    pub fn list(&self) -> Result<Vec<ImageRow>, ImageError> {
        let mut by_digest: BTreeMap<Digest, Vec<(String, Origin)>> = BTreeMap::new();
        for (name, named) in self.names() {
            by_digest.entry(named.digest).or_default().push((name, named.origin));
        }
        let mut rows = Vec::new();
        for (digest, names) in by_digest {
            if let Some(row) = self.row(&digest, &names)? {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// One image, by a name, an id or the beginning of one.
    pub fn inspect(&self, text: &str) -> Result<ImageRow, ImageError> {
        let digest = self.resolve(text)?;
        let names = self.names();
        let of = names.iter().filter(|(_, named)| named.digest == digest);
        let names: Vec<_> = of.map(|(name, named)| (name.clone(), named.origin)).collect();
        self.row(&digest, &names)?.ok_or_else(|| ImageError::Unknown(text.to_owned()))
    }

    /// How an image came to be, newest first.
    pub fn history(&self, text: &str) -> Result<Vec<HistoryRow>, ImageError> {
        let row = self.inspect(text)?;
        let mut layers = row.image.layers.iter();
        let steps = row.image.config.history().as_deref().unwrap_or_default();
        let line = |step: &oci_spec::image::History| HistoryRow {
            created: step.created().clone(),
            created_by: step.created_by().clone().unwrap_or_default(),
            comment: step.comment().clone().unwrap_or_default(),
            size_bytes: match step.empty_layer() {
                Some(true) => 0,
                _ => layers.next().map_or(0, |layer| layer.size),
            },
        };
        let mut lines: Vec<_> = steps.iter().map(line).collect();
        lines.reverse();
        Ok(lines)
    }

    fn row(
        &self,
        digest: &Digest,
        names: &[(String, Origin)],
    ) -> Result<Option<ImageRow>, ImageError> {
        let Some(image) = self.shown(digest)? else { return Ok(None) };
        let small = [&image.manifest, &image.config_digest].map(|digest| self.has_blob(digest));
        let layers: u64 = image.layers.iter().map(|layer| layer.size).sum();
        let named = names.iter().filter(|(name, _)| name.parse::<Digest>().is_err());
        let references = named.filter_map(|(name, _)| name.parse::<Reference>().ok());
        let origins: Vec<_> = names.iter().map(|(_, origin)| *origin).collect();
        let origin = [Origin::Loaded, Origin::Pulled].into_iter().find(|o| origins.contains(o));
        Ok(Some(ImageRow {
            digest: digest.clone(),
            origin: origin.unwrap_or(Origin::ForTask),
            names: references.filter(|name| name.digest.is_none()).collect(),
            size_bytes: layers + small.into_iter().flatten().sum::<u64>(),
            image,
        }))
    }
}
