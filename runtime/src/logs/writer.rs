//! The writing side of a run's log, in its monitor.
//!
//! A program must never stop because its log cannot be written. Entries that a full disk does not
//! take are counted and lost, and the next entry that fits is preceded by one that says so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::attached;
use super::entry::{self, Ends, OVERHEAD_BYTES_MAX, Stream};
use super::options::LogOptions;

/// Entries are collected up to this size before they are written.
const BATCH_BYTES: usize = 16 * 1024;

/// Appends entries to a log and rotates its files.
#[derive(Debug)]
pub struct LogWriter {
    /// The newest file; older ones have `.1` and so on behind it.
    path: PathBuf,
    options: LogOptions,
    file: Option<File>,
    /// Bytes in the newest file.
    size: u64,
    batch: Vec<u8>,
    lost_bytes: u64,
    /// A client may attach until then, and is to miss nothing.
    client_until_ns: u64,
}

/// How long a client that attached before the start may take to read the log: its agent looks for the
/// run as soon as it is there, which takes seconds on a machine that is busy with starting others.
const CLIENT_WAIT_NS: u64 = 30_000_000_000;

/// What is kept for an attached client beyond the options: never a full disk because somebody is
/// attached for months.
const HELD_BYTES_MAX: u64 = 16 << 20;

/// The same in files, each of which gets another name with each new one.
const HELD_FILES_MAX: u32 = 256;

impl LogWriter {
    /// A log whose file is made with its first entry.
    pub fn new(path: PathBuf, options: LogOptions) -> LogWriter {
        LogWriter {
            path,
            options,
            file: None,
            size: 0,
            batch: Vec::new(),
            lost_bytes: 0,
            client_until_ns: 0,
        }
    }

    /// A client may be about to attach: for some seconds from now on nothing is removed.
    pub fn await_client(&mut self, wall_ns: u64) {
        self.client_until_ns = wall_ns.saturating_add(CLIENT_WAIT_NS);
    }

    /// Adds an entry; [`LogWriter::flush`] brings it to the file.
    pub fn append(&mut self, wall_ns: u64, stream: Stream, ends: Ends, message: &[u8]) {
        let bytes = message.len() + OVERHEAD_BYTES_MAX;
        let grown = self.size + (self.batch.len() + bytes) as u64;
        if grown > self.options.file_bytes_max && self.size + self.batch.len() as u64 > 0 {
            self.flush(wall_ns);
            self.rotate(wall_ns);
        } else if self.batch.len() + bytes > BATCH_BYTES {
            self.flush(wall_ns);
        }
        entry::encode(&mut self.batch, wall_ns, stream, ends, message);
    }

    /// Writes what was added since the last time.
    pub fn flush(&mut self, wall_ns: u64) {
        if self.batch.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        if self.lost_bytes > 0 {
            let notice = format!(
                "edgectl: {} bytes of this log were lost: no room on the disk",
                self.lost_bytes
            );
            let mut with_notice =
                Vec::with_capacity(batch.len() + notice.len() + OVERHEAD_BYTES_MAX);
            entry::encode(&mut with_notice, wall_ns, Stream::Stderr, Ends::Line, notice.as_bytes());
            with_notice.extend_from_slice(&batch);
            let lost = batch.len() as u64;
            match self.write(&with_notice) {
                Ok(()) => self.lost_bytes = 0,
                Err(_) => self.lost_bytes += lost,
            }
        } else if self.write(&batch).is_err() {
            self.lost_bytes = batch.len() as u64;
        }
        batch.clear();
        self.batch = batch;
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
            self.size = file.metadata()?.len();
            self.file = Some(file);
        }
        let file = self.file.as_mut().expect("it was opened above");
        if let Err(error) = file.write_all(bytes) {
            // A partly written entry would spoil the next one.
            let _ = file.set_len(self.size);
            return Err(error);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, wall_ns: u64) {
        self.file = None;
        self.size = 0;
        let mut oldest = self.options.files_max - 1;
        let exists = |number: &u32| numbered(&self.path, *number).exists();
        if wall_ns < self.client_until_ns || attached::is_held(&self.path) {
            // An attached client may have yet to read it.
            let more = HELD_BYTES_MAX / self.options.file_bytes_max.max(1);
            let most = oldest.saturating_add(
                u32::try_from(more).map_or(HELD_FILES_MAX, |more| more.min(HELD_FILES_MAX)),
            );
            oldest = oldest.max((1..most).find(|number| !exists(number)).unwrap_or(most));
        }
        let surplus = (oldest.saturating_add(1)..).take_while(exists);
        surplus.for_each(|number| drop(fs::remove_file(numbered(&self.path, number))));
        if oldest == 0 {
            let _ = fs::remove_file(&self.path);
            return;
        }
        for number in (1..oldest).rev() {
            let _ = fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1));
        }
        let _ = fs::rename(&self.path, numbered(&self.path, 1));
    }
}

/// The name of an older file; 0 is the newest.
pub fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_path_buf();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(options: LogOptions, entries: u64) -> (tempfile::TempDir, Vec<u64>) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut writer = LogWriter::new(dir.path().join("log"), options);
        for number in 0..entries {
            writer.append(
                number,
                Stream::Stdout,
                Ends::Line,
                b"0123456789012345678901234567890123456789",
            );
            writer.flush(number);
        }
        let mut sizes: Vec<u64> = fs::read_dir(dir.path())
            .expect("readable")
            .map(|entry| entry.expect("readable").metadata().expect("readable").len())
            .collect();
        sizes.sort_unstable();
        (dir, sizes)
    }

    #[test]
    fn a_log_never_outgrows_its_files() {
        let options = LogOptions { file_bytes_max: 1000, files_max: 3 };
        let (_dir, sizes) = fill(options, 500);
        assert_eq!(sizes.len(), 3);
        assert!(sizes.iter().all(|size| *size <= 1000 && *size > 0), "{sizes:?}");
        let (_dir, sizes) = fill(LogOptions { file_bytes_max: 1000, files_max: 1 }, 500);
        assert_eq!(sizes.len(), 1);
    }

    #[test]
    fn what_an_attached_client_has_not_read_is_kept_until_it_is_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        let options = LogOptions { file_bytes_max: 100, files_max: 2 };
        let mut writer = LogWriter::new(dir.path().join("log"), options);
        let mut write = |count: u64| {
            for number in 0..count {
                writer.append(number, Stream::Stdout, Ends::Line, b"0123456789");
                writer.flush(number);
            }
        };
        let logs = || {
            fs::read_dir(dir.path())
                .expect("readable")
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("log"))
        };
        let held = attached::hold(dir.path()).expect("held");
        write(100);
        let size: u64 = logs().map(|entry| entry.metadata().expect("readable").len()).sum();
        assert!(size > 1_000 && logs().count() > 10, "all of it is there: {size}");
        write(1_500);
        assert_eq!(logs().count(), 258, "it has an end");
        drop(held);
        write(20);
        assert_eq!(logs().count(), 2);
    }

    #[test]
    fn an_entry_larger_than_a_file_gets_one_of_its_own() {
        let (_dir, sizes) = fill(LogOptions { file_bytes_max: 1, files_max: 3 }, 10);
        assert_eq!(sizes.len(), 3);
    }

    #[test]
    fn a_disk_that_takes_nothing_stops_nobody_and_the_loss_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("missing").join("log");
        let options = LogOptions { file_bytes_max: 1000, files_max: 3 };
        let mut writer = LogWriter::new(path.clone(), options);
        for _ in 0..100 {
            writer.append(1, Stream::Stdout, Ends::Line, b"lost");
            writer.flush(1);
        }
        fs::create_dir(dir.path().join("missing")).expect("writable");
        writer.append(2, Stream::Stdout, Ends::Line, b"kept");
        writer.flush(2);
        let text = fs::read_to_string(path).expect("it is there now");
        assert!(text.contains("e edgectl: 900 bytes of this log were lost"), "{text}");
        assert!(text.ends_with("2 o kept\n"), "{text}");
    }
}
