//! Manifests and indexes of OCI and of Docker's schema 2, and the choice of the build for a node.
//!
//! It reads bytes that were verified by digest, and fetches nothing. A media type is used only
//! where the content does not show what it is.

use crdt_state::spec::Platform;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::ImageError;
use super::platform::rank;

/// Nothing that describes an image is longer.
pub const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Of an OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Of an OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Of an OCI configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Of an OCI layer that is not compressed; `+gzip` and `+zstd` are.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Of a manifest of Docker's schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Of a list of such manifests.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a document says of another blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is; empty if the writer did not say.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// What a manifest was built for, in an index that says so.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "written")]
    pub platform: Option<Platform>,
    /// Free text, names of archives among it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

/// A document that a name can stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// One image each for several platforms. What are no images (attestations) is left out.
    Index(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    schema_version: u32,
}

impl Document {
    /// Reads it; `digest` is for the error's text.
    pub fn parse(digest: &Digest, bytes: &[u8]) -> Result<Document, ImageError> {
        let written: Written = serde_json::from_slice(bytes)
            .map_err(|error| ImageError::malformed(digest, format!("is no manifest ({error})")))?;
        match written {
            Written { manifests: Some(manifests), .. } => {
                Ok(Document::Index(manifests.into_iter().filter(is_image).collect()))
            }
            Written { config: Some(config), layers: Some(layers), .. } => {
                Ok(Document::Manifest(Manifest { config, layers }))
            }
            Written { schema_version: 1, .. } => Err(ImageError::malformed(
                digest,
                "is of Docker's schema 1, which nobody has written since 2016",
            )),
            _ => Err(ImageError::malformed(digest, "is neither a manifest nor an index")),
        }
    }
}

/// Attestations stand in an index as builds for `unknown/unknown`.
fn is_image(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}

/// The builds that a node can run, best first. One that does not say what it is for comes last.
pub fn fitting<'a>(index: &'a [Descriptor], node: &Platform) -> Vec<&'a Descriptor> {
    let nearness = |descriptor: &Descriptor| match &descriptor.platform {
        Some(platform) => rank(node, platform),
        None => Some(u8::MAX),
    };
    let mut fitting: Vec<_> =
        index.iter().filter_map(|descriptor| Some((nearness(descriptor)?, descriptor))).collect();
    fitting.sort_by_key(|(rank, _)| *rank);
    fitting.into_iter().map(|(_, descriptor)| descriptor).collect()
}

/// A platform as documents write it.
mod written {
    use super::Platform;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Written {
        architecture: String,
        os: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variant: Option<String>,
    }

    pub(super) fn serialize<S: Serializer>(
        platform: &Option<Platform>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let written = platform.as_ref().map(|platform| Written {
            architecture: platform.arch.clone(),
            os: platform.os.clone(),
            variant: Some(platform.variant.clone()).filter(|variant| !variant.is_empty()),
        });
        written.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Platform>, D::Error> {
        let written = Option::<Written>::deserialize(deserializer)?;
        Ok(written.map(|written| Platform {
            os: written.os,
            arch: written.architecture,
            variant: written.variant.unwrap_or_default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(arch: &str, variant: &str) -> Platform {
        Platform { os: "linux".to_owned(), arch: arch.to_owned(), variant: variant.to_owned() }
    }

    fn build(number: u8, platform: Option<Platform>) -> Descriptor {
        let digest = Digest::of(&[number]);
        Descriptor { media_type: String::new(), digest, size: 1, platform, annotations: None }
    }

    #[test]
    fn the_nearest_build_comes_first_and_what_cannot_run_is_left_out() {
        let index = [
            build(1, Some(platform("amd64", ""))),
            build(2, Some(platform("arm", "v5"))),
            build(3, Some(platform("arm", "v7"))),
            build(4, Some(platform("arm64", "v8"))),
            build(5, Some(platform("arm", "v6"))),
        ];
        let of = |node: Platform| -> Vec<Digest> {
            fitting(&index, &node).into_iter().map(|build| build.digest.clone()).collect()
        };
        let digests = |numbers: &[u8]| -> Vec<Digest> {
            numbers.iter().map(|number| Digest::of(&[*number])).collect()
        };
        assert_eq!(of(platform("arm", "v7")), digests(&[3, 5, 2]));
        assert_eq!(of(platform("arm", "v6")), digests(&[5, 2]));
        assert_eq!(of(platform("arm64", "")), digests(&[4, 3, 5, 2]));
        assert_eq!(of(platform("riscv64", "")), []);
    }

    #[test]
    fn an_attestation_is_no_build() {
        let text = format!(
            r#"{{"manifests":[{{"digest":"{0}","size":1,"platform":{{"architecture":"unknown",
            "os":"unknown"}}}},{{"digest":"{0}","size":1,"platform":{{"architecture":"arm",
            "os":"linux","variant":"v7"}}}}]}}"#,
            Digest::of(b"")
        );
        let Ok(Document::Index(builds)) = Document::parse(&Digest::of(b""), text.as_bytes()) else {
            panic!("it is an index");
        };
        assert_eq!(builds.len(), 1);
        assert_eq!(builds[0].platform, Some(platform("arm", "v7")));
    }

    #[test]
    fn what_is_no_manifest_is_said_to_be_none() {
        for (text, why) in [
            ("", "is no manifest"),
            ("[]", "is no manifest"),
            ("{}", "is neither"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (r#"{"config":{"digest":"sha256:12","size":1},"layers":[]}"#, "is no manifest"),
        ] {
            let error = Document::parse(&Digest::of(b""), text.as_bytes()).expect_err(text);
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
