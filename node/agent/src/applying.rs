//! Records that were being applied when an agent ended: a record that ends the agent twice is set
//! aside at the third start.
//!
//! ```text
//!  life 1   records come ─▶ journal: their digests ─▶ applied ─▶ journal: empty
//!                                      └─▶ the process ends, however it ends
//!  life 2   the journal is not empty: its records are held back, then applied a few at a time
//!  life 3   the record being applied alone: set aside until the record or the version changes
//! ```
//! The journal lies beside the API's socket, usually in memory (`/run`): it costs no write of a
//! disk, and an idle agent writes nothing. The suspects are written to the data directory, once
//! after a crash. Neither file may ever keep the agent from starting.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crdt_state::{Digest, replica::Witness};

use crate::config::Config;

/// The file of suspects in the data directory.
const SUSPECTS_FILE: &str = "suspects";

/// Digests in the journal and in the file of suspects, at most: 1 MiB of them. Further ones are not
/// written down.
const DIGESTS_MAX: usize = 65_536;

/// Bytes of a digest.
const DIGEST_BYTES: usize = 16;

/// Writes down the records that are being applied. If the process is killed, the journal stays.
pub(super) struct Journal {
    file: File,
    bytes: u64,
}

impl Witness for Journal {
    fn applying(&mut self, records: &[Digest]) {
        let most = (DIGESTS_MAX * DIGEST_BYTES) as u64 - self.bytes;
        let bytes: Vec<u8> = records.iter().flat_map(|digest| digest.0).collect();
        let fits = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        // Without a journal no culprit is found; the node works all the same.
        if self.file.write_all_at(&bytes[..fits], self.bytes).is_ok() {
            self.bytes += fits as u64;
        }
    }

    fn applied(&mut self) {
        if self.file.set_len(0).is_ok() {
            self.bytes = 0;
        }
    }
}

/// The records under suspicion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Suspects {
    /// They were being applied when the last agent ended.
    pub(super) held_back: BTreeSet<Digest>,
    /// It was being applied alone when an agent ended again.
    pub(super) set_aside: BTreeSet<Digest>,
}

impl Suspects {
    /// The suspects after an agent that ended with these records in hand; none in hand if it ended
    /// otherwise.
    fn after(mut self, in_hand: BTreeSet<Digest>) -> Suspects {
        let again: BTreeSet<Digest> = self.held_back.intersection(&in_hand).copied().collect();
        match (again.len(), again.first()) {
            (1, Some(culprit)) => {
                self.set_aside.insert(*culprit);
                self.held_back = BTreeSet::new();
            }
            (0, _) => self.held_back = in_hand,
            _ => self.held_back = again,
        }
        self
    }

    /// A line with the version that found them, then one line for each.
    fn to_text(&self) -> String {
        let lines = |word, digests: &BTreeSet<Digest>| -> String {
            digests.iter().map(|digest| format!("{word} {digest}\n")).collect()
        };
        format!(
            "{}\n{}{}",
            env!("CARGO_PKG_VERSION"),
            lines("back", &self.held_back),
            lines("aside", &self.set_aside)
        )
    }

    /// Suspects of another version do not count: that version may have fixed the fault.
    fn from_text(text: &str) -> Suspects {
        let mut suspects = Suspects::default();
        let Some(lines) = text.strip_prefix(concat!(env!("CARGO_PKG_VERSION"), "\n")) else {
            return suspects;
        };
        for line in lines.lines().take(DIGESTS_MAX) {
            match line.split_once(' ').map(|(word, digest)| (word, read_digest(digest))) {
                Some(("back", Some(digest))) => suspects.held_back.insert(digest),
                Some(("aside", Some(digest))) => suspects.set_aside.insert(digest),
                _ => continue,
            };
        }
        suspects
    }
}

fn read_digest(text: &str) -> Option<Digest> {
    let number = u128::from_str_radix(text, 16).ok()?;
    Some(Digest(number.to_be_bytes()))
}

/// What earlier agents left behind, and where this one writes its journal.
pub(super) struct Applying {
    journal: PathBuf,
    pub(super) suspects: Suspects,
}

impl Applying {
    /// Reads the journal for an agent that starts now, and writes the suspects that follow from it.
    pub(super) fn open(config: &Config) -> Applying {
        Applying::at(config.socket.with_extension("applying"), &config.data_dir)
    }

    fn at(journal: PathBuf, data_dir: &Path) -> Applying {
        let path = data_dir.join(SUSPECTS_FILE);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let in_hand = std::fs::read(&journal).unwrap_or_default();
        let in_hand: BTreeSet<Digest> = in_hand
            .chunks_exact(DIGEST_BYTES)
            .filter_map(|chunk| Some(Digest(chunk.try_into().ok()?)))
            .collect();
        let crashed = !in_hand.is_empty();
        let suspects = Suspects::from_text(&before).after(in_hand);
        if crashed {
            tracing::error!(
                "the last agent ended while it applied records: {} are let in one after the other, \
                 {} are set aside (edgectl doctor)",
                suspects.held_back.len(),
                suspects.set_aside.len()
            );
        }
        let text = suspects.to_text();
        if text != before
            && suspects != Suspects::from_text(&before)
            && let Err(error) = write_whole(&path, &text)
        {
            tracing::warn!("{} cannot be written: {error}", path.display());
        }
        Applying { journal, suspects }
    }

    /// An empty journal.
    pub(super) fn journal(&self) -> io::Result<Journal> {
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&self.journal)?;
        Ok(Journal { file, bytes: 0 })
    }
}

/// Writes the whole text, or leaves the old file as it was.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests;
