//! From a name or digest to an image that is complete on this node.
//!
//! Every document is hashed again as it is read; one that is damaged is removed and counts as
//! missing, so that it is fetched again.

use std::str::FromStr;

use crdt_state::spec::{HealthCheck, Platform};
use oci_spec::image::ImageConfiguration;
use serde::Deserialize;

use super::digest::Digest;
use super::error::ImageError;
use super::manifest::{DOCUMENT_BYTES_MAX, Descriptor, Document, Manifest, fitting};
use super::platform::{rank, this_node, word};
use super::reference::Reference;
use super::{Image, Images, Layer};

/// An index in an index is read; one in that is not.
const INDEX_DEPTH_MAX: u8 = 2;

/// What a digest leads to, in the order of its indexes.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    /// Of single images.
    pub(crate) manifests: Vec<Digest>,
    /// It and those in it.
    pub(crate) indexes: Vec<Digest>,
}

/// The way from a digest to the build that a node runs, through indexes in indexes: the best that
/// fits first; an index in which nothing fits is left for the next.
#[derive(Debug)]
pub struct Search {
    /// The last is the next.
    waiting: Vec<(Digest, u8)>,
    /// Whatever stood in an index, for the error when nothing fits.
    pub offered: Vec<Descriptor>,
}

impl Search {
    /// At a manifest or an index.
    pub fn begin(digest: &Digest) -> Search {
        Search { waiting: vec![(digest.clone(), INDEX_DEPTH_MAX)], offered: Vec::new() }
    }

    /// The next document to read: a manifest is what was looked for, an index is to be added.
    #[expect(clippy::should_implement_trait, reason = "what it gives depends on what is added")]
    pub fn next(&mut self) -> Option<(Digest, u8)> {
        self.waiting.pop()
    }

    /// What an index holds that fits comes next.
    pub fn add(
        &mut self,
        digest: &Digest,
        depth: u8,
        builds: &[Descriptor],
        node: &Platform,
    ) -> Result<(), ImageError> {
        let nested = || ImageError::malformed(digest, "is nested too deep");
        let depth = depth.checked_sub(1).ok_or_else(nested)?;
        let fitting = fitting(builds, node).into_iter().rev();
        self.waiting.extend(fitting.map(|build| (build.digest.clone(), depth)));
        self.offered.extend(builds.iter().cloned());
        Ok(())
    }
}

impl Images {
    /// The image of a name, if all that this node needs of it is here: manifest, configuration,
    /// and each layer as a blob or unpacked.
    ///
    /// # Errors
    /// [`ImageError::NoPlatform`]: it is here, and has no build for this node.
    pub fn find(&self, reference: &Reference) -> Result<Option<Image>, ImageError> {
        match self.digest_of(reference) {
            Some(named) => self.image(&named.digest),
            None => Ok(None),
        }
    }

    /// As [`Images::find`], by the digest of a manifest or index.
    pub fn image(&self, digest: &Digest) -> Result<Option<Image>, ImageError> {
        let Some(found) = self.build_of(digest)? else { return Ok(None) };
        if rank(self.platform(), &found.platform).is_none() {
            return Err(ImageError::NoPlatform {
                wanted: word(self.platform()),
                offered: vec![word(&found.platform)],
            });
        }
        Ok(found.layers.iter().all(|layer| self.has_layer(layer)).then_some(found))
    }

    /// The image of exactly this manifest, whatever it was built for and whether its layers are
    /// here or not.
    pub fn image_of_manifest(&self, digest: &Digest) -> Result<Option<Image>, ImageError> {
        match self.document(digest)? {
            Some(Document::Manifest(manifest)) => self.described(digest, &manifest),
            _ => Ok(None),
        }
    }

    /// A manifest or index that is here.
    pub fn document(&self, digest: &Digest) -> Result<Option<Document>, ImageError> {
        let bytes = self.0.blobs.read(digest, DOCUMENT_BYTES_MAX)?;
        bytes.map(|bytes| Document::parse(digest, &bytes)).transpose()
    }

    /// Is a layer here, as a blob of the right length or unpacked?
    pub fn has_layer(&self, layer: &Layer) -> bool {
        self.has_blob(&layer.digest) == Some(layer.size) || self.layer_path(&layer.diff_id).is_dir()
    }

    /// The image that `text` means: a name, an id, or the beginning of an id. Returns the digest
    /// of its manifest or index.
    pub fn resolve(&self, text: &str) -> Result<Digest, ImageError> {
        let unknown = || ImageError::Unknown(text.to_owned());
        if let Some(named) = Reference::from_str(text).ok().and_then(|name| self.digest_of(&name)) {
            return Ok(named.digest);
        }
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Reference::from_str(text)?;
            return Err(unknown());
        }
        let mut found = std::collections::BTreeSet::new();
        for named in self.names().values() {
            let id = self.shown(&named.digest)?.map(|image| image.config_digest);
            if named.digest.hex().starts_with(prefix)
                || id.is_some_and(|id| id.hex().starts_with(prefix))
            {
                found.insert(named.digest.clone());
            }
        }
        match found.len() {
            0 => Err(unknown()),
            1 => Ok(found.pop_first().expect("there is one")),
            _ => Err(ImageError::Ambiguous(text.to_owned())),
        }
    }

    /// The build to show of a digest: the one for this node, or else the first that is here.
    pub(crate) fn shown(&self, digest: &Digest) -> Result<Option<Image>, ImageError> {
        if let Ok(Some(image)) = self.build_of(digest) {
            return Ok(Some(image));
        }
        for build in self.builds(digest).unwrap_or_default().manifests {
            if let Ok(Some(image)) = self.image_of_manifest(&build) {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    /// The build for this node of an index; of a manifest the only one, whatever it is for.
    fn build_of(&self, digest: &Digest) -> Result<Option<Image>, ImageError> {
        let mut search = Search::begin(digest);
        while let Some((digest, depth)) = search.next() {
            match self.document(&digest)? {
                None => return Ok(None),
                Some(Document::Manifest(manifest)) => return self.described(&digest, &manifest),
                Some(Document::Index(builds)) => {
                    search.add(&digest, depth, &builds, self.platform())?;
                }
            }
        }
        Err(self.no_platform(&search.offered))
    }

    /// All that a digest leads to and that is here.
    pub(crate) fn builds(&self, digest: &Digest) -> Result<Builds, ImageError> {
        let mut found = Builds::default();
        let mut waiting = vec![(digest.clone(), INDEX_DEPTH_MAX)];
        while let Some((digest, depth)) = waiting.pop() {
            match self.document(&digest)? {
                None => {}
                Some(Document::Manifest(_)) => found.manifests.push(digest),
                Some(Document::Index(builds)) => {
                    let below = builds.into_iter().rev().map(|build| build.digest);
                    if let Some(depth) = depth.checked_sub(1) {
                        waiting.extend(below.map(|build| (build, depth)));
                    }
                    found.indexes.push(digest);
                }
            }
        }
        Ok(found)
    }

    /// The error for an index that has nothing for this node.
    pub fn no_platform(&self, builds: &[Descriptor]) -> ImageError {
        let offered = builds.iter().filter_map(|build| build.platform.as_ref().map(word)).collect();
        ImageError::NoPlatform { wanted: word(self.platform()), offered }
    }

    fn described(&self, digest: &Digest, manifest: &Manifest) -> Result<Option<Image>, ImageError> {
        let config_digest = &manifest.config.digest;
        let Some(bytes) = self.0.blobs.read(config_digest, DOCUMENT_BYTES_MAX)? else {
            return Ok(None);
        };
        image(digest, manifest, &bytes).map(Some)
    }
}

/// Puts together what a manifest and the bytes of its configuration say.
pub fn image(digest: &Digest, manifest: &Manifest, config: &[u8]) -> Result<Image, ImageError> {
    let config_digest = &manifest.config.digest;
    let junk = |error: serde_json::Error| {
        ImageError::malformed(config_digest, format!("is no configuration ({error})"))
    };
    let extra: Extra = serde_json::from_slice(config).map_err(junk)?;
    let config = configuration(config).map_err(junk)?;
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers.len() {
        let (layers, ids) = (manifest.layers.len(), diff_ids.len());
        let why = format!("has {ids} diff_ids for {layers} layers");
        return Err(ImageError::malformed(config_digest, why));
    }
    let layer = |(layer, diff_id): (&Descriptor, &String)| {
        let diff_id = diff_id.parse().map_err(|_| {
            ImageError::malformed(config_digest, format!("has the diff_id {diff_id:?}"))
        })?;
        let Descriptor { digest, size, media_type, .. } = layer.clone();
        Ok(Layer { digest, diff_id, size, media_type })
    };
    let layers = manifest.layers.iter().zip(diff_ids).map(layer);
    Ok(Image {
        manifest: digest.clone(),
        config_digest: config_digest.clone(),
        layers: layers.collect::<Result<_, ImageError>>()?,
        platform: Platform {
            os: config.os().to_string(),
            arch: config.architecture().to_string(),
            variant: config.variant().clone().unwrap_or_default(),
        },
        health: extra.config.and_then(|config| config.healthcheck).map(Health::read),
        config,
    })
}

/// Some writers say nowhere what an image is built for; it is taken for what runs here, as Docker
/// does.
fn configuration(bytes: &[u8]) -> Result<ImageConfiguration, serde_json::Error> {
    let mut written: serde_json::Value = serde_json::from_slice(bytes)?;
    if let Some(fields) = written.as_object_mut() {
        let here = this_node();
        for (field, own) in [("architecture", here.arch), ("os", here.os)] {
            let said = fields.get(field).and_then(|said| said.as_str()).unwrap_or_default();
            if said.is_empty() {
                fields.insert(field.to_owned(), own.into());
            }
        }
    }
    serde_json::from_value(written)
}

#[derive(Deserialize)]
struct Extra {
    config: Option<ExtraConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExtraConfig {
    healthcheck: Option<Health>,
}

/// Durations are nanoseconds.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Health {
    test: Vec<String>,
    interval: u64,
    timeout: u64,
    retries: u32,
    start_period: u64,
    start_interval: u64,
}

impl Health {
    /// With Docker's defaults for what is 0.
    fn read(self) -> HealthCheck {
        let ms = |nanos: u64, default: u64| if nanos == 0 { default } else { nanos / 1_000_000 };
        HealthCheck {
            test: self.test,
            interval_ms: ms(self.interval, 30_000),
            timeout_ms: ms(self.timeout, 30_000),
            retries: if self.retries == 0 { 3 } else { self.retries },
            start_period_ms: ms(self.start_period, 0),
            start_interval_ms: ms(self.start_interval, 5_000),
        }
    }
}
