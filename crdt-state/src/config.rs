//! Configs: small files that tasks get from the fleet.
//!
//! A config is a shared record: its life, its labels, and what its data is. The data itself is in
//! parts, each a record of its own: a record has at most [`crate::wire::MERGED_BYTES_MAX`], and a
//! node that misses one part fetches this one only. All of it is written once. The data stays when
//! a config is removed, for services that were given it on the other side of a partition; who edits
//! configs empties the parts that nobody can need any more.

use serde::{Deserialize, Serialize};

use crate::id::{ConfigId, first_16};
use crate::key::{Kind, RecordKey};

/// The most bytes of a config: Docker's.
pub const CONFIG_BYTES_MAX: usize = 1_023_999;

/// Bytes of every part but the last: with its numbers it fits into a value of 64 KiB, and the
/// largest config has 16.
pub const PART_BYTES: usize = 64_000;

const _: () = assert!(CONFIG_BYTES_MAX.div_ceil(PART_BYTES) == 16);
const _: () = assert!(PART_BYTES + 64 <= crate::wire::VALUE_BYTES_MAX);

/// What the data of a config is: the value of [`crate::spec::Facet::CONFIG`], written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSpec {
    /// Its length, 1 to [`CONFIG_BYTES_MAX`].
    pub bytes: u32,
    /// Its blake3 hash.
    pub hash: [u8; 32],
}

impl ConfigSpec {
    /// Describes data of at most [`CONFIG_BYTES_MAX`] bytes.
    pub fn of(data: &[u8]) -> ConfigSpec {
        let bytes = u32::try_from(data.len()).expect("larger data is refused before");
        ConfigSpec { bytes, hash: *blake3::hash(data).as_bytes() }
    }

    /// The number of its parts.
    pub fn parts(&self) -> u16 {
        let parts = usize::try_from(self.bytes).unwrap_or(usize::MAX).div_ceil(PART_BYTES);
        u16::try_from(parts).unwrap_or(u16::MAX)
    }
}

/// A part of a config's data: the value of [`crate::spec::Facet::CONFIG_PART`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPart {
    /// The config.
    pub config: ConfigId,
    /// Which part, from 0.
    pub number: u16,
    /// At most [`PART_BYTES`]; none: the config was removed, and nobody needs it any more.
    pub data: Vec<u8>,
}

/// The use of one config by a service: a file in its containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// The config. One that is removed and created again has another id.
    pub config: ConfigId,
    /// Its name when the service was given it.
    pub name: String,
    /// Where the file is; without a slash in front: from the root.
    pub target: String,
    /// The owner of the file.
    pub uid: u32,
    /// The group of the file.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
}

impl ConfigFile {
    /// Where the file is in the container.
    pub fn path(&self) -> String {
        format!("/{}", self.target.trim_start_matches('/'))
    }
}

impl RecordKey {
    /// The key of a config.
    pub fn config(id: ConfigId) -> RecordKey {
        RecordKey { kind: Kind::CONFIG, id: id.0 }
    }

    /// The key of a part of a config's data.
    pub fn config_part(id: ConfigId, number: u16) -> RecordKey {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl config part 1");
        hasher.update(&id.0);
        hasher.update(&number.to_be_bytes());
        RecordKey { kind: Kind::CONFIG_PART, id: first_16(&hasher.finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_config_has_sixteen_parts() {
        for (bytes, parts) in [(1, 1), (PART_BYTES, 1), (PART_BYTES + 1, 2), (CONFIG_BYTES_MAX, 16)]
        {
            assert_eq!(ConfigSpec::of(&vec![7; bytes]).parts(), parts, "{bytes}");
        }
    }

    #[test]
    fn a_target_without_a_slash_is_below_the_root() {
        let file = |target: &str| ConfigFile {
            config: ConfigId([1; 16]),
            name: "a".into(),
            target: target.into(),
            uid: 0,
            gid: 0,
            mode: 0o444,
        };
        for (target, path) in [("a", "/a"), ("/etc/a", "/etc/a"), ("etc/a", "/etc/a")] {
            assert_eq!(file(target).path(), path);
        }
    }
}
