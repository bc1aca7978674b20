//! How often this node has started: the upper half of its generation. So a restarted node is newer
//! than anything that others remember of it, whatever its clock says.
//!
//! The counter lives beside the key and not in the store, because it must live as long as the key
//! does. It is overwritten in place, so that a full disk does not keep a node from starting.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::IdentityError;

/// Digits of the counter: the length of the file never changes.
const DIGITS: usize = 20;

/// Counts this start, durably, and returns its number; the first is 1. A damaged counter starts
/// again at 1: the node then learns from its peers that it must be newer.
pub fn next_boot(data_dir: &Path) -> Result<u64, IdentityError> {
    let path = data_dir.join("boot");
    let failed = |error| IdentityError::File { path: path.clone(), error };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    let mut text = [0; DIGITS];
    let length = file.read_at(&mut text, 0).map_err(failed)?;
    let last: u64 = std::str::from_utf8(&text[..length])
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let boot = last.saturating_add(1);
    file.write_all_at(format!("{boot:0DIGITS$}\n").as_bytes(), 0).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(boot)
}
