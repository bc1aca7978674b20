//! The output of a run: the reading side, for `service logs`.
//!
//! A run's folder holds `log` (newest), `log.1`, `log.2` … Each line is one entry:
//!
//! ```text
//! 1763674000123456789 o hello world
//! └ ns since 1970     └ stream      └ bytes as they came, up to the newline
//! ```
//! Streams are `o` stdout and `e` stderr. In capitals the entry is a piece of a line that continues
//! in the next entry of that stream (a line beyond [`LINE_BYTES_MAX`], or one that never ended).
//! Reading never writes, and junk (a line cut by a power cut) is skipped.

mod attached;
pub mod entry;
pub mod options;
pub mod reader;
mod tail;
pub mod writer;

pub use attached::{HeldLog, hold};
pub use entry::{LINE_BYTES_MAX, LogEntry, Stream};
pub use options::LogOptions;
pub use reader::{LogReader, ReadFrom};
