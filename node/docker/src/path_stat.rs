//! The description of a path in a container, in the form of Docker's header: base64 of JSON, with
//! Go's permission bits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use runtime::copy::PathStat;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The name of the header.
pub const PATH_STAT_HEADER: &str = "X-Docker-Container-Path-Stat";

/// `S_IFMT` and its file types, with Go's bits for them.
const TYPE_BITS: u32 = 0o170_000;
const TYPES: [(u32, u32); 7] = [
    (0o040_000, GO_FOLDER),
    (0o120_000, GO_LINK),
    (0o060_000, 1 << 26),
    (0o020_000, 1 << 26 | 1 << 21),
    (0o010_000, 1 << 25),
    (0o140_000, 1 << 24),
    (0o100_000, 0),
];
const GO_FOLDER: u32 = 1 << 31;
const GO_LINK: u32 = 1 << 27;
/// setuid, setgid, sticky.
const SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPathStat {
    /// Its last part.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Go's `os.FileMode`.
    pub mode: u32,
    /// RFC 3339.
    pub mtime: String,
    /// Where a symbolic link leads.
    pub link_target: String,
}

impl ContainerPathStat {
    /// Translates it to Docker's form.
    pub fn of(found: PathStat) -> ContainerPathStat {
        let mut mode = found.mode & 0o777;
        for (unix, go) in SPECIAL {
            mode |= if found.mode & unix == 0 { 0 } else { go };
        }
        for (unix, go) in TYPES {
            mode |= if found.mode & TYPE_BITS == unix { go } else { 0 };
        }
        let nanos = i128::from(found.changed_s) * 1_000_000_000 + i128::from(found.changed_ns);
        let changed = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
        let mtime = changed.and_then(|at| at.format(&Rfc3339).ok());
        ContainerPathStat {
            name: found.name,
            size: found.size,
            mode,
            mtime: mtime.unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned()),
            link_target: found.link_target,
        }
    }

    /// Is it a folder?
    pub fn is_folder(&self) -> bool {
        self.mode & GO_FOLDER != 0
    }

    /// The value of the header.
    pub fn to_header(&self) -> String {
        STANDARD.encode(serde_json::to_vec(self).expect("it is plain text"))
    }

    /// The inverse of [`ContainerPathStat::to_header`].
    pub fn from_header(text: &str) -> Option<ContainerPathStat> {
        serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_go() {
        let stat = |mode| PathStat {
            name: "x".to_owned(),
            size: 1,
            mode,
            changed_s: 0,
            changed_ns: 5,
            link_target: String::new(),
        };
        for (unix, go) in [
            (0o100_644, 0o644),
            (0o040_755, 0x8000_01ed),
            (0o120_777, 0x0800_01ff),
            (0o104_755, 0x0080_01ed),
            (0o041_777, 0x8010_01ff),
        ] {
            let found = ContainerPathStat::of(stat(unix));
            assert_eq!(found.mode, go, "{unix:o}");
            assert_eq!(ContainerPathStat::from_header(&found.to_header()), Some(found));
        }
    }
}
