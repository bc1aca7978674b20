//! A client that is attached to a run reads its log, and must miss nothing of it, however slow it is.
//!
//! The reader holds a lock on a file beside the log as long as it reads. The writer, which is another
//! process, keeps some megabytes more meanwhile than the options of the log say.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// In the folder of the run; its lock is what counts.
const ATTACHED: &str = "attached";

/// A log of which more is kept as long as this is there.
#[derive(Debug)]
pub struct HeldLog {
    _lock: File,
}

/// Holds the log of the run of a folder.
pub fn hold(dir: &Path) -> io::Result<HeldLog> {
    let file = File::create(dir.join(ATTACHED))?;
    file.lock_shared()?;
    Ok(HeldLog { _lock: file })
}

/// Does somebody hold the log with this path?
pub(super) fn is_held(log: &Path) -> bool {
    let Ok(file) = File::open(log.with_file_name(ATTACHED)) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}
