//! Logs that are read while they are written, rotated and ended.

use super::super::entry::{Ends, Stream};
use super::super::options::LogOptions;
use super::super::writer::LogWriter;
use super::*;

struct Log {
    dir: tempfile::TempDir,
    writer: LogWriter,
}

impl Log {
    fn new(file_bytes_max: u64) -> Log {
        let dir = tempfile::tempdir().expect("a folder");
        let options = LogOptions { file_bytes_max, files_max: 3 };
        let writer = LogWriter::new(dir.path().join(run_dir::LOG), options);
        Log { dir, writer }
    }

    fn say(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let text = format!("line {number}");
            self.writer.append(number * 1_000_000, Stream::Stdout, Ends::Line, text.as_bytes());
            self.writer.flush(number);
        }
    }

    fn read(&self, tail: Option<u64>, since_ms: u64) -> LogReader {
        LogReader::open(self.dir.path(), ReadFrom { tail, since_ms }).expect("it opens")
    }
}

fn drain(reader: &mut LogReader) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(entry) = reader.next_entry().expect("readable") {
        let text = String::from_utf8(entry.bytes).expect("text");
        numbers.push(text.trim_end()["line ".len()..].parse().expect("a number"));
    }
    numbers
}

#[test]
fn a_tail_reaches_over_rotated_files() {
    let mut log = Log::new(200);
    log.say(0..20);
    let all = drain(&mut log.read(None, 0));
    assert!(all.len() > 12 && *all.last().expect("some") == 19, "{all:?}");
    for tail in [0, 1, 7, 12] {
        let expected: Vec<u64> = (20 - tail..20).collect();
        assert_eq!(drain(&mut log.read(Some(tail), 0)), expected);
    }
    assert_eq!(drain(&mut log.read(Some(1000), 0)), all);
    assert_eq!(drain(&mut log.read(None, 17)), [17, 18, 19]);
}

#[test]
fn a_tail_counts_whole_lines_and_a_line_shares_the_fate_of_its_beginning() {
    let mut log = Log::new(1 << 20);
    log.say(0..3);
    for (wall_ms, ends) in [(10, Ends::Piece), (20, Ends::Piece), (30, Ends::Line)] {
        log.writer.append(wall_ms * 1_000_000, Stream::Stdout, ends, b"x");
    }
    log.writer.append(40_000_000, Stream::Stderr, Ends::Line, b"other");
    log.writer.append(50_000_000, Stream::Stdout, Ends::Piece, b"never ended");
    log.writer.flush(50);
    let times = |tail, since_ms| {
        let mut reader = log.read(tail, since_ms);
        let next = || reader.next_entry().expect("readable");
        std::iter::from_fn(next).map(|entry| entry.wall_ns / 1_000_000).collect::<Vec<_>>()
    };
    assert_eq!(times(Some(0), 0), [0; 0]);
    assert_eq!(times(Some(1), 0), [50]);
    assert_eq!(times(Some(2), 0), [40, 50]);
    assert_eq!(times(Some(3), 0), [10, 20, 30, 40, 50]);
    assert_eq!(times(Some(4), 0), [2, 10, 20, 30, 40, 50]);
    assert_eq!(times(None, 10), [10, 20, 30, 40, 50], "the line began then");
    assert_eq!(times(None, 11), [40, 50], "no piece of a line that began before");
}

#[test]
fn a_reader_follows_through_rotations_without_a_gap() {
    let mut log = Log::new(200);
    let mut reader = log.read(None, 0);
    let mut seen = Vec::new();
    for number in 0..60 {
        log.say(number..number + 1);
        if number % 4 == 0 {
            seen.extend(drain(&mut reader));
        }
    }
    seen.extend(drain(&mut reader));
    assert_eq!(seen, (0..60).collect::<Vec<u64>>());
}

#[test]
fn a_reader_misses_nothing_while_many_files_get_other_names() {
    use std::sync::atomic::{AtomicU64, Ordering};
    const ENTRIES: u64 = 8_000;
    // The writer is never further ahead than what is kept for a client that is attached.
    const AHEAD_MAX: u64 = 900;
    let mut log = Log::new(200);
    let _held = crate::logs::hold(log.dir.path()).expect("held");
    let mut reader = log.read(None, 0);
    let read = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..ENTRIES {
                while number > read.load(Ordering::Relaxed) + AHEAD_MAX {
                    std::thread::yield_now();
                }
                log.say(number..number + 1);
            }
        });
        let mut expected = 0;
        while expected < ENTRIES {
            for number in drain(&mut reader) {
                // The writer must not wait for a reader that has failed.
                read.store(if number == expected { number } else { ENTRIES }, Ordering::Relaxed);
                assert_eq!(number, expected);
                expected += 1;
            }
        }
    });
}

#[test]
fn a_reader_that_was_overtaken_goes_on_with_what_is_left() {
    let mut log = Log::new(100);
    log.say(0..2);
    let mut reader = log.read(None, 0);
    assert_eq!(drain(&mut reader), [0, 1]);
    log.say(2..40);
    let seen = drain(&mut reader);
    assert!(seen.is_sorted() && seen.last() == Some(&39), "{seen:?}");
}

#[test]
fn junk_in_a_log_is_skipped() {
    let mut log = Log::new(1 << 20);
    log.say(0..1);
    let path = log.dir.path().join(run_dir::LOG);
    let mut bytes = fs::read(&path).expect("readable");
    bytes.extend(vec![b'x'; 3 * LINE_BYTES_MAX]);
    bytes.extend(b"\n12 q what\n1700000 o line 7\n17");
    fs::write(&path, bytes).expect("writable");
    assert_eq!(drain(&mut log.read(None, 0)), [0, 7]);
}

#[tokio::test]
async fn following_ends_with_the_run() {
    let mut log = Log::new(1 << 20);
    log.say(0..1);
    let mut reader = log.read(None, 0);
    assert!(reader.follow().await.expect("readable").is_some());
    fs::write(log.dir.path().join(run_dir::FINAL_STATUS), b"{}").expect("writable");
    log.say(1..2);
    assert!(reader.follow().await.expect("readable").is_some());
    assert_eq!(reader.follow().await.expect("readable"), None);
}
