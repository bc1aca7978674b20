//! The audit log: what was changed through this node, and by whom.
//!
//! A file of JSON lines in the data directory. When it is full it becomes the earlier one of two, so that
//! the disk holds at most twice [`FILE_BYTES_MAX`]. Nobody changes a line that was written.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::transport::FRAME_BYTES_MAX;

/// Of each of the two files: some 5,000 changes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A text of an entry at most, in bytes: whoever sends a long path fills no log with it.
const TEXT_BYTES_MAX: usize = 256;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditEntry {
    /// The node's time of day, milliseconds since 1970. Display only.
    pub wall_ms: u64,
    /// The node's host name.
    pub node: String,
    /// Who asked: a user of the machine, or a client with a certificate.
    pub client: String,
    /// What was asked: `service update web`, or the request itself.
    pub action: String,
    /// The request: method and path.
    pub request: String,
    /// The status of the answer: from 400 on, nothing was changed.
    pub status: u16,
}

/// The log of this node.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    writing: Mutex<()>,
}

impl AuditLog {
    /// That of a data directory. No file is made before the first entry.
    pub fn new(data_dir: &Path) -> AuditLog {
        AuditLog { path: data_dir.join("audit.jsonl"), writing: Mutex::new(()) }
    }

    fn earlier(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }

    /// Writes an entry at the end. Waits for the disk.
    pub fn write(&self, mut entry: AuditEntry) -> io::Result<()> {
        for text in [&mut entry.client, &mut entry.action, &mut entry.request] {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        let _one_at_a_time = self.writing.lock().expect("nothing panics while it writes");
        let mut file = self.open()?;
        if file.metadata()?.len() >= FILE_BYTES_MAX {
            std::fs::rename(&self.path, self.earlier())?;
            file = self.open()?;
        }
        file.write_all(&line)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
    }

    /// The entries since this time of day, the oldest first. A line that is none, as after a power
    /// cut, is left out.
    pub fn since(&self, wall_ms: u64) -> Vec<AuditEntry> {
        let files = [self.earlier(), self.path.clone()]
            .into_iter()
            .filter_map(|path| File::open(path).ok());
        let lines = files.flat_map(|file| BufReader::new(file).split(b'\n').map_while(Result::ok));
        let entries = lines.filter_map(|line| serde_json::from_slice(&line).ok());
        entries.filter(|entry: &AuditEntry| entry.wall_ms >= wall_ms).collect()
    }

    /// The same in frames for a peer.
    pub(super) fn frames_since(&self, wall_ms: u64) -> Vec<Vec<u8>> {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for entry in self.since(wall_ms) {
            let Ok(mut line) = serde_json::to_vec(&entry) else { continue };
            line.push(b'\n');
            match frames.last_mut().filter(|last| last.len() + line.len() <= FRAME_BYTES_MAX) {
                Some(last) => last.extend_from_slice(&line),
                None => frames.push(line),
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(wall_ms: u64) -> AuditEntry {
        let action = format!("service update {}", "ä".repeat(300));
        AuditEntry { wall_ms, action, ..AuditEntry::default() }
    }

    #[test]
    fn the_log_has_a_bound_and_loses_what_is_oldest() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = AuditLog::new(dir.path());
        assert!(log.since(0).is_empty());
        for number in 0..10_000 {
            log.write(entry(number)).expect("written");
        }
        let held = log.since(0);
        assert!(held.len() > 2_000, "{}", held.len());
        assert!(held.windows(2).all(|two| two[0].wall_ms + 1 == two[1].wall_ms));
        assert_eq!(held.last().map(|last| last.wall_ms), Some(9_999));
        let files = std::fs::read_dir(dir.path()).expect("readable").flatten();
        let bytes: u64 = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        assert!(bytes <= 2 * FILE_BYTES_MAX + 1_000, "{bytes}");
        assert_eq!(log.since(9_990).len(), 10);
        let sent = log.frames_since(0);
        assert!(sent.iter().all(|frame| frame.len() <= FRAME_BYTES_MAX));
        let lines =
            sent.concat().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(lines, held.len());
    }

    #[test]
    fn a_line_that_was_cut_costs_only_itself() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = AuditLog::new(dir.path());
        log.write(entry(1)).expect("written");
        let path = dir.path().join("audit.jsonl");
        let mut text = std::fs::read(&path).expect("readable");
        text.extend_from_slice(b"{\"wall_ms\":2,\"no\n\xff\n");
        std::fs::write(&path, text).expect("writable");
        log.write(entry(3)).expect("written");
        let times: Vec<u64> = log.since(0).iter().map(|entry| entry.wall_ms).collect();
        assert_eq!(times, [1, 3]);
    }
}
