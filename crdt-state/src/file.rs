//! Files of the fleet: configs and secrets, which tasks get from it.
//!
//! A file is a shared record: its life, its labels, and what its data is. The data itself is in
//! parts, each a record of its own: a record has at most [`crate::wire::MERGED_BYTES_MAX`], and a
//! node that misses one part fetches this one only. All of it is written once. The data stays when
//! a file is removed, for services that were given it on the other side of a partition; who edits
//! files empties the parts that nobody can need any more.
//!
//! The data of a config is as it was given, that of a secret is sealed ([`crate::secret`]): nothing
//! here, and nobody who reads records, ever sees what is in a secret.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ConfigId, SecretId, first_16};
use crate::key::{Kind, RecordKey};

/// The most bytes of a config: Docker's.
pub const CONFIG_BYTES_MAX: usize = 1_023_999;

/// The most bytes of what is in a secret: Docker's.
pub const SECRET_BYTES_MAX: usize = 511_999;

/// How much longer a sealed secret is than what is in it.
pub const TAG_BYTES: usize = 16;

/// Bytes of every part but the last: with its numbers it fits into a value of 64 KiB, and the
/// largest config has 16.
pub const PART_BYTES: usize = 64_000;

const _: () = assert!(CONFIG_BYTES_MAX.div_ceil(PART_BYTES) == 16);
const _: () = assert!(PART_BYTES + 64 <= crate::wire::VALUE_BYTES_MAX);

/// Where a secret is in a container unless its target begins with a slash.
pub const SECRETS_DIR: &str = "/run/secrets";

/// What a file of the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileClass {
    /// Everybody may read it.
    Config,
    /// Only the nodes that have its key can read it.
    Secret,
}

impl FileClass {
    /// The most bytes that its records have: a sealed secret is longer than what is in it.
    pub fn stored_bytes_max(self) -> usize {
        match self {
            FileClass::Config => CONFIG_BYTES_MAX,
            FileClass::Secret => SECRET_BYTES_MAX + TAG_BYTES,
        }
    }

    /// The kind of its record.
    pub fn kind(self) -> Kind {
        match self {
            FileClass::Config => Kind::CONFIG,
            FileClass::Secret => Kind::SECRET,
        }
    }

    /// The file of this class with these bytes as its id.
    pub fn id(self, bytes: [u8; 16]) -> FileId {
        match self {
            FileClass::Config => FileId::Config(ConfigId(bytes)),
            FileClass::Secret => FileId::Secret(SecretId(bytes)),
        }
    }
}

/// The word for it, in messages and commands.
impl fmt::Display for FileClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileClass::Config => "config",
            FileClass::Secret => "secret",
        })
    }
}

/// A file of the fleet. Creating the same name again makes a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// A config.
    Config(ConfigId),
    /// A secret.
    Secret(SecretId),
}

impl FileId {
    /// What it is.
    pub fn class(self) -> FileClass {
        match self {
            FileId::Config(_) => FileClass::Config,
            FileId::Secret(_) => FileClass::Secret,
        }
    }

    /// The bytes of its id.
    pub fn bytes(self) -> [u8; 16] {
        match self {
            FileId::Config(ConfigId(bytes)) | FileId::Secret(SecretId(bytes)) => bytes,
        }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileId::Config(id) => id.fmt(f),
            FileId::Secret(id) => id.fmt(f),
        }
    }
}

impl From<ConfigId> for FileId {
    fn from(id: ConfigId) -> FileId {
        FileId::Config(id)
    }
}

impl From<SecretId> for FileId {
    fn from(id: SecretId) -> FileId {
        FileId::Secret(id)
    }
}

/// What the data of a file is: the value of [`crate::spec::Facet::FILE`], written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec {
    /// Its length, from 1; of a secret: sealed.
    pub bytes: u32,
    /// Its blake3 hash; of a secret: of the sealed data, which says nothing of what is in it.
    pub hash: [u8; 32],
}

impl FileSpec {
    /// Describes data of at most [`CONFIG_BYTES_MAX`] bytes.
    pub fn of(data: &[u8]) -> FileSpec {
        let bytes = u32::try_from(data.len()).expect("larger data is refused before");
        FileSpec { bytes, hash: *blake3::hash(data).as_bytes() }
    }

    /// The number of its parts.
    pub fn parts(&self) -> u16 {
        let parts = usize::try_from(self.bytes).unwrap_or(usize::MAX).div_ceil(PART_BYTES);
        u16::try_from(parts).unwrap_or(u16::MAX)
    }
}

/// What fills a file in for each task that gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TemplateDriver {
    /// Go's templates, with Docker's fields and functions.
    Golang,
}

/// Docker's name of it.
impl fmt::Display for TemplateDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TemplateDriver::Golang => "golang",
        })
    }
}

/// A text that names no [`TemplateDriver`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no template driver {0}; there is golang")]
pub struct UnknownTemplateDriver(pub String);

impl FromStr for TemplateDriver {
    type Err = UnknownTemplateDriver;

    fn from_str(text: &str) -> Result<TemplateDriver, UnknownTemplateDriver> {
        match text {
            "golang" => Ok(TemplateDriver::Golang),
            other => Err(UnknownTemplateDriver(other.to_owned())),
        }
    }
}

/// What the data of a file is that is filled in for each task: the value of
/// [`crate::spec::Facet::TEMPLATE_FILE`], written once. The data is the template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateFile {
    /// As of any other file.
    pub spec: FileSpec,
    /// What fills it in.
    pub driver: TemplateDriver,
}

/// A part of a file's data: the value of [`crate::spec::Facet::FILE_PART`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePart {
    /// The id of the file; its class is that of the record.
    pub file: [u8; 16],
    /// Which part, from 0.
    pub number: u16,
    /// At most [`PART_BYTES`]; none: the file was removed, and nobody needs it any more.
    pub data: Vec<u8>,
}

/// The use of one file of the fleet by a service: a file in its containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileUse<I> {
    /// The file. One that is removed and created again has another id.
    pub id: I,
    /// Its name when the service was given it.
    pub name: String,
    /// Where the file is; without a slash in front: from the root, a secret from [`SECRETS_DIR`].
    pub target: String,
    /// The owner of the file.
    pub uid: u32,
    /// The group of the file.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
}

/// The use of a config.
pub type ConfigFile = FileUse<ConfigId>;

/// The use of a secret.
pub type SecretFile = FileUse<SecretId>;

impl<I: Copy + Into<FileId>> FileUse<I> {
    /// Which file it is of.
    pub fn file(&self) -> FileId {
        self.id.into()
    }

    /// Where the file is in the container.
    pub fn path(&self) -> String {
        let target = self.target.trim_start_matches('/');
        match self.file().class() {
            FileClass::Secret if !self.target.starts_with('/') => format!("{SECRETS_DIR}/{target}"),
            FileClass::Config | FileClass::Secret => format!("/{target}"),
        }
    }

    /// The same among uses of files of any class.
    pub fn unsorted(&self) -> FileUse<FileId> {
        let FileUse { name, target, uid, gid, mode, .. } = self.clone();
        FileUse { id: self.file(), name, target, uid, gid, mode }
    }

    /// The use without what the class of its file decides.
    pub fn any(&self) -> AnyUse<'_> {
        AnyUse { file: self.file(), name: &self.name, target: &self.target, path: self.path() }
    }
}

/// The use of a file of any class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyUse<'a> {
    /// The file.
    pub file: FileId,
    /// Its name when the service was given it.
    pub name: &'a str,
    /// Where the file is, as written.
    pub target: &'a str,
    /// Where the file is in the container.
    pub path: String,
}

impl RecordKey {
    /// The key of a config.
    pub fn config(id: ConfigId) -> RecordKey {
        RecordKey::file(id.into())
    }

    /// The key of a secret.
    pub fn secret(id: SecretId) -> RecordKey {
        RecordKey::file(id.into())
    }

    /// The key of a config or a secret.
    pub fn file(id: FileId) -> RecordKey {
        RecordKey { kind: id.class().kind(), id: id.bytes() }
    }

    /// The key of a part of a file's data.
    pub fn file_part(id: FileId, number: u16) -> RecordKey {
        let (context, kind) = match id.class() {
            FileClass::Config => ("edgectl config part 1", Kind::CONFIG_PART),
            FileClass::Secret => ("edgectl secret part 1", Kind::SECRET_PART),
        };
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&id.bytes());
        hasher.update(&number.to_be_bytes());
        RecordKey { kind, id: first_16(&hasher.finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_config_has_sixteen_parts() {
        for (bytes, parts) in [(1, 1), (PART_BYTES, 1), (PART_BYTES + 1, 2), (CONFIG_BYTES_MAX, 16)]
        {
            assert_eq!(FileSpec::of(&vec![7; bytes]).parts(), parts, "{bytes}");
        }
    }

    fn used<I>(id: I, target: &str) -> FileUse<I> {
        let (name, target) = ("a".to_owned(), target.to_owned());
        FileUse { id, name, target, uid: 0, gid: 0, mode: 0o444 }
    }

    #[test]
    fn a_target_without_a_slash_is_below_the_root_and_of_a_secret_below_its_folder() {
        for (target, config, secret) in [
            ("a", "/a", "/run/secrets/a"),
            ("/etc/a", "/etc/a", "/etc/a"),
            ("etc/a", "/etc/a", "/run/secrets/etc/a"),
        ] {
            assert_eq!(used(ConfigId([1; 16]), target).path(), config);
            assert_eq!(used(SecretId([1; 16]), target).path(), secret);
        }
    }
}
