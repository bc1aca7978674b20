//! References: the names that people type for images, parsed exactly as Docker parses them.
//!
//! `nginx` is `docker.io/library/nginx`. The part before the first slash is a registry only if it
//! has a dot or a colon, is `localhost`, or has an upper-case letter. Parsing does not check
//! whether the image exists.

use std::fmt;
use std::str::FromStr;

use super::digest::{BadDigest, Digest};

/// The registry that is meant when none is named.
pub const DEFAULT_REGISTRY: &str = "docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const TAG_CHARS_MAX: usize = 128;
const REPOSITORY_CHARS_MAX: usize = 255;

/// `[registry/]repository[:tag][@digest]`. Displays in the familiar form: without what Docker
/// would fill in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host, and port if it is not the usual one: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub registry: String,
    /// Path in the registry: `library/nginx`.
    pub repository: String,
    /// As given.
    pub tag: Option<String>,
    /// As given; it decides when both are.
    pub digest: Option<Digest>,
}

/// Text that names no image; says what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// Nothing was given.
    #[error("no image is named: give one like nginx:1.27 or registry:5000/team/app:2")]
    Empty,
    /// The repository has upper-case letters.
    #[error("the image {0:?} has upper-case letters, type {lower:?}", lower = .0.to_lowercase())]
    UpperCase(String),
    /// The repository is malformed.
    #[error(
        "{0:?} is no image name: use a-z and 0-9, separated by one of . _ __ - within each part, \
         like team/app-server:1"
    )]
    Repository(String),
    /// The repository is too long.
    #[error("the image name is longer than {REPOSITORY_CHARS_MAX} characters: shorten it")]
    TooLong,
    /// The registry is malformed.
    #[error("{0:?} is no registry: use host or host:port, like registry.local:5000/app")]
    Registry(String),
    /// The tag is malformed.
    #[error(
        "{0:?} is no tag: use up to {TAG_CHARS_MAX} of A-Z, a-z, 0-9, _ . - and begin with \
         neither . nor -"
    )]
    Tag(String),
    /// The digest is malformed.
    #[error(transparent)]
    Digest(#[from] BadDigest),
    /// 64 hexadecimal digits are an image's id.
    #[error("{0} is an id, not a name: type sha256:{0}, or the image's name")]
    Id(String),
}

impl Reference {
    /// With the tag `latest` if there is neither tag nor digest.
    pub fn with_default_tag(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same image without its digest.
    pub fn without_digest(mut self) -> Reference {
        self.digest = None;
        self
    }

    /// Registry and repository, nothing left out: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Registry and repository as people write them: `nginx`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        match self.repository.strip_prefix(OFFICIAL) {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ if split_registry(&self.repository).is_none() => self.repository.clone(),
            _ => self.name(),
        }
    }

    /// Everything spelled out, with the tag that is meant: what the store's names are keyed by.
    pub fn canonical(&self) -> String {
        let tag = match (&self.tag, &self.digest) {
            (None, None) => Some(DEFAULT_TAG),
            (tag, _) => tag.as_deref(),
        };
        with_suffixes(self.name(), tag, self.digest.as_ref())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.tag.as_deref();
        f.write_str(&with_suffixes(self.familiar_name(), tag, self.digest.as_ref()))
    }
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Reference, BadReference> {
        if text.is_empty() {
            return Err(BadReference::Empty);
        }
        if Digest::from_hex(text).is_ok() {
            return Err(BadReference::Id(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(rest).unwrap_or((DEFAULT_REGISTRY, rest));
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        check_registry(registry)?;
        check_repository(path)?;
        tag.map_or(Ok(()), check_tag)?;
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let repository = if official { format!("{OFFICIAL}{path}") } else { path.to_owned() };
        Ok(Reference {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn with_suffixes(mut name: String, tag: Option<&str>, digest: Option<&Digest>) -> String {
    if let Some(tag) = tag {
        name = format!("{name}:{tag}");
    }
    match digest {
        Some(digest) => format!("{name}@{digest}"),
        None => name,
    }
}

/// Does this name say a registry? Docker's rule: what stands before the first slash is one if it looks
/// like a host.
pub fn names_a_registry(text: &str) -> bool {
    split_registry(text).is_some()
}

/// The registry before the first slash, if that is one.
fn split_registry(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('/')?;
    let is_host = first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|byte| byte.is_ascii_uppercase());
    is_host.then_some((first, rest))
}

fn check_registry(registry: &str) -> Result<(), BadReference> {
    let bad = || BadReference::Registry(registry.to_owned());
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (inner, after) = rest.split_once(']').ok_or_else(bad)?;
            let is_v6 = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
            if inner.is_empty() || !inner.bytes().all(is_v6) {
                return Err(bad());
            }
            (None, after.strip_prefix(':').map(Some).or(after.is_empty().then_some(None)))
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some(Some(port))),
            None => (Some(registry), Some(None)),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_port = |port: &str| !port.is_empty() && port.parse::<u16>().is_ok();
    let good_host = host.is_none_or(|host| host.split('.').all(is_label));
    match port {
        Some(port) if good_host && port.is_none_or(is_port) => Ok(()),
        _ => Err(bad()),
    }
}

fn check_repository(path: &str) -> Result<(), BadReference> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(BadReference::UpperCase(path.to_owned()));
    }
    if path.len() > REPOSITORY_CHARS_MAX {
        return Err(BadReference::TooLong);
    }
    if path.split('/').all(is_component) {
        return Ok(());
    }
    Err(BadReference::Repository(path.to_owned()))
}

/// Letters and digits, with single dots, one or two underscores, or any dashes between them.
fn is_component(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    is_plain(*first)
        && is_plain(*last)
        && separators.into_iter().all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn check_tag(tag: &str) -> Result<(), BadReference> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    let good = tag.len() <= TAG_CHARS_MAX
        && bytes.next().is_some_and(is_word)
        && bytes.all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
    if good { Ok(()) } else { Err(BadReference::Tag(tag.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn canonical(text: &str) -> String {
        text.parse::<Reference>().map(|reference| reference.canonical()).unwrap_or_default()
    }

    #[test]
    fn what_is_left_out_is_filled_in_as_docker_does() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("team/app", "docker.io/team/app:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:2", "localhost:5000/app:2"),
            ("registry.local/a/b/c", "registry.local/a/b/c:latest"),
            ("Registry/app", "Registry/app:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("host:5000", "docker.io/library/host:5000"),
            ("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest"),
        ] {
            assert_eq!(canonical(text), full, "{text}");
        }
    }

    #[test]
    fn a_digest_stands_beside_a_tag_and_adds_none() {
        let pinned = format!("nginx@sha256:{HEX}");
        assert_eq!(canonical(&pinned), format!("docker.io/library/nginx@sha256:{HEX}"));
        let both: Reference = format!("app:2@sha256:{HEX}").parse().expect("both");
        assert_eq!((both.tag.as_deref(), both.digest), (Some("2"), Some(Digest::of(b""))));
    }

    #[test]
    fn the_familiar_form_reads_back_as_the_same_image() {
        for text in ["nginx", "nginx:1", "team/app", "docker.io/a.b/c", "localhost/app", "x:5/y:z"]
        {
            let reference: Reference = text.parse().expect(text);
            assert_eq!(reference.to_string(), text);
            assert_eq!(reference.to_string().parse(), Ok(reference));
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_what_to_type_is_said() {
        let upper = "Nginx".parse::<Reference>().expect_err("upper case");
        assert!(upper.to_string().ends_with("type \"nginx\""), "{upper}");
        let id = HEX.parse::<Reference>().expect_err("an id");
        assert!(id.to_string().contains(&format!("type sha256:{HEX}")), "{id}");
        for junk in [
            "",
            ":1",
            "a:",
            "a/",
            "/a",
            "a//b",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a b",
            "a:b:c",
            "a:-1",
            "a@",
            "a@sha256:12",
            "http://a/b",
            "a.b:x/c",
            "a.b:99999/c",
            "[::1/c",
            "[]/c",
            "ü",
            "a@sha256:12@sha256:12",
            "-.b/c",
        ] {
            assert!(junk.parse::<Reference>().is_err(), "{junk}");
        }
        assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().is_err());
        assert!("a".repeat(256).parse::<Reference>().is_err());
    }
}
