//! Reading a log while its monitor writes, rotates and ends it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entry::{self, LINE_BYTES_MAX, LogEntry, OVERHEAD_BYTES_MAX};
use super::tail::Tail;
use super::writer::numbered;
use crate::run_dir;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadFrom {
    /// This many lines before the end, however many entries they are; `None`: all.
    pub tail: Option<u64>,
    /// Lines that began at this time of day (ms since 1970) or later.
    pub since_ms: u64,
}

/// How often a follower checks. A poll: it costs one `stat` and one `read` while somebody follows,
/// and nothing otherwise.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// How often a file is looked for that the writer may be renaming.
const NAME_TRIES: u32 = 100;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// A position in the log of one run.
#[derive(Debug)]
pub struct LogReader {
    /// The run's folder.
    dir: PathBuf,
    since_ns: u64,
    file: Option<BufReader<File>>,
    /// The inode of `file`: names change when files are rotated.
    inode: u64,
    /// The incomplete entry.
    line: Vec<u8>,
    /// Per stream: set while its line is incomplete, and whether that line is shown.
    under_way: [Option<Shown>; 2],
    follow_interval: Duration,
}

/// Is a line within the requested range? All its pieces are treated like its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

impl LogReader {
    /// Opens the log of the run in this folder ([`run_dir::path`]). A run without output has an
    /// empty log; a folder that does not exist is an error.
    pub fn open(dir: &Path, from: ReadFrom) -> io::Result<LogReader> {
        fs::metadata(dir)?;
        let mut reader = LogReader {
            dir: dir.to_path_buf(),
            since_ns: from.since_ms.saturating_mul(1_000_000),
            file: None,
            inode: 0,
            line: Vec::new(),
            under_way: [None; 2],
            follow_interval: FOLLOW_INTERVAL,
        };
        match from.tail {
            None => {
                reader.enter_oldest()?;
            }
            Some(entries) => reader.enter_at_tail(entries)?,
        }
        Ok(reader)
    }

    /// The next entry; `None` if there is no further one now.
    pub fn next_entry(&mut self) -> io::Result<Option<LogEntry>> {
        loop {
            let Some(file) = self.file.as_mut() else {
                if self.enter_oldest()? {
                    continue;
                }
                return Ok(None);
            };
            let room = (LINE_BYTES_MAX + OVERHEAD_BYTES_MAX).saturating_sub(self.line.len());
            let read = file.by_ref().take(room as u64).read_until(b'\n', &mut self.line)?;
            if self.line.ends_with(b"\n") {
                let entry = entry::decode(&self.line);
                self.line.clear();
                match entry.filter(|entry| self.is_wanted(entry)) {
                    Some(entry) => return Ok(Some(entry)),
                    None => continue,
                }
            }
            if room == 0 {
                // No entry is that long: junk. Reading continues after its newline.
                self.line.clear();
            } else if read == 0 && !self.enter_newer()? {
                return Ok(None);
            }
        }
    }

    /// A follower checks this often.
    pub fn check_every(&mut self, interval: Duration) {
        self.follow_interval = interval;
    }

    /// Waits for the next entry; `None` when the run is over and everything is read.
    pub async fn follow(&mut self) -> io::Result<Option<LogEntry>> {
        loop {
            let over = !self.dir.exists() || self.dir.join(run_dir::FINAL_STATUS).exists();
            if let Some(entry) = self.next_entry()? {
                return Ok(Some(entry));
            }
            if over {
                return Ok(None);
            }
            tokio::time::sleep(self.follow_interval).await;
        }
    }

    fn is_wanted(&mut self, entry: &LogEntry) -> bool {
        let under_way = &mut self.under_way[entry.stream.index()];
        let began_in_time = || match entry.wall_ns >= self.since_ns {
            true => Shown::Yes,
            false => Shown::No,
        };
        let shown = under_way.unwrap_or_else(began_in_time);
        *under_way = (!entry.bytes.ends_with(b"\n")).then_some(shown);
        shown == Shown::Yes
    }

    fn path(&self, number: u32) -> PathBuf {
        numbered(&self.dir.join(run_dir::LOG), number)
    }

    fn enter(&mut self, number: u32, offset: u64) -> io::Result<bool> {
        match File::open(self.path(number)) {
            Ok(file) => self.read_from(file, offset).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read_from(&mut self, mut file: File, offset: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(offset))?;
        self.inode = file.metadata()?.ino();
        self.file = Some(BufReader::with_capacity(CHUNK_BYTES, file));
        self.line.clear();
        Ok(())
    }

    /// Continues with the file after the current one, if there is one and the current one is read.
    ///
    /// The writer gives files another name one by one, the oldest first, so for moments a number is
    /// missing, and what is found under one may be under the next a moment later.
    fn enter_newer(&mut self) -> io::Result<bool> {
        let log = self.dir.join(run_dir::LOG);
        let inode_of = |number| fs::metadata(numbered(&log, number)).map(|found| found.ino()).ok();
        for _ in 0..NAME_TRIES {
            let numbers = self.numbers()?;
            let own = numbers.iter().find(|number| inode_of(**number) == Some(self.inode));
            let Some(number) = own.copied() else {
                std::thread::yield_now();
                continue;
            };
            if number == 0 {
                return Ok(false);
            }
            let before = self.inode;
            // The file was rotated after the last read: its end may still be unread.
            if let Some(file) = self.file.as_mut()
                && !file.fill_buf()?.is_empty()
            {
                return Ok(true);
            }
            let Ok(next) = File::open(self.path(number - 1)) else { continue };
            if inode_of(number) == Some(before) {
                self.read_from(next, 0)?;
                return Ok(true);
            }
        }
        // The file was removed while it was read: continues with the oldest that is left.
        if let Some(file) = self.file.as_mut()
            && !file.fill_buf()?.is_empty()
        {
            return Ok(true);
        }
        self.enter_oldest()
    }

    /// Begins with the oldest file, if there is one. Its name is the first that changes: a list that was
    /// made meanwhile may be without it, the next one has it.
    fn enter_oldest(&mut self) -> io::Result<bool> {
        for _ in 0..NAME_TRIES {
            let Some(number) = self.numbers()?.pop() else { return Ok(false) };
            if self.enter(number, 0)? && self.numbers()?.pop() == Some(number) {
                let still = fs::metadata(self.path(number)).is_ok_and(|it| it.ino() == self.inode);
                if still {
                    return Ok(true);
                }
            }
        }
        Ok(self.file.is_some())
    }

    /// The numbers that files have, in order.
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(run_dir::LOG));
            match rest {
                Some("") => numbers.push(0),
                Some(rest) => {
                    numbers.extend(rest.strip_prefix('.').and_then(|n| n.parse::<u32>().ok()))
                }
                None => {}
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn enter_at_tail(&mut self, lines: u64) -> io::Result<()> {
        let mut tail = Tail::new(lines);
        for number in self.numbers()? {
            let Ok(file) = File::open(self.path(number)) else { continue };
            let offset = tail.reach_back(&file)?;
            self.enter(number, offset)?;
            if tail.is_whole() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
