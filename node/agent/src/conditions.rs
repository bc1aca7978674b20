//! Conditions that keep this machine from starting tasks: files, disk, processes, the thread that
//! runs them. They are checked every few seconds and reported when they change. The node decides
//! whether a condition lasted long enough to be published, and for how long it is kept. Texts are
//! fixed: a changing text would be written again and again.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use crdt_state::condition::NodeConditions;
use nix::libc::{EAGAIN, EMFILE, ENFILE};
use nix::sys::statvfs::statvfs;
use runtime::process::ProgressProbe;

use super::command::Command;
use super::handle::WeakHandle;

/// Between two checks: four system calls and a thread that ends at once.
const INTERVAL: Duration = Duration::from_secs(5);

/// The thread that runs tasks must answer within this time, or it counts as stuck: it works on the
/// disk, and a slow card may block it for seconds.
const REPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// Open files that must be left: 16 starts at a time take up to 8 each.
const FILES_MIN: u64 = 128;

/// Bytes that must be left on the disk: what 16 starts at a time write, with the first lines of
/// their logs. Less on a disk so small that this is more than a fiftieth of it.
const DISK_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// The stack of the thread that tests whether a thread can be made.
const PROBE_STACK_BYTES: usize = 32 * 1024;

/// Checks for as long as the agent lives, without keeping any part of it alive.
pub(super) async fn watch(handle: WeakHandle, probe: ProgressProbe) {
    let mut reported = NodeConditions::new();
    loop {
        let Some(agent) = handle.upgrade() else { return };
        let mut found = inspect(&agent.config().data_dir, runtime::files::limit());
        if agent.disk_error().is_some() {
            found.insert("disk".to_owned(), "its disk refuses to be written".to_owned());
        }
        drop(agent);
        let runtime = match tokio::time::timeout(REPORT_TIMEOUT, probe.report()).await {
            Err(_) => Some("the thread that runs tasks is stuck"),
            Ok(report) if report.slow > 0 => Some("its OCI runtime does not come to an end"),
            Ok(_) => None,
        };
        found.extend(runtime.map(|text| ("runtime".to_owned(), text.to_owned())));
        if found != reported {
            reported.clone_from(&found);
            let Some(agent) = handle.upgrade() else { return };
            if agent.send(Command::Conditions(found)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn inspect(data_dir: &Path, files_max: u64) -> NodeConditions {
    let found = [
        ("files", lacks_files(files_max), "it may open no more files; see LimitNOFILE="),
        ("disk", lacks_disk(data_dir), "its disk is full"),
        ("processes", lacks_processes(), "it is given no more processes; see TasksMax="),
    ];
    let found = found.into_iter().filter(|(_, lacks, _)| *lacks);
    found.map(|(word, _, text)| (word.to_owned(), text.to_owned())).collect()
}

/// The kernel assigns the lowest free number, so the number tells how many files are open.
fn lacks_files(files_max: u64) -> bool {
    match File::open("/dev/null") {
        Ok(file) => {
            let reserve = FILES_MIN.min(files_max / 8);
            u64::try_from(file.as_raw_fd()).is_ok_and(|next| next >= files_max - reserve)
        }
        Err(error) => matches!(error.raw_os_error(), Some(EMFILE | ENFILE)),
    }
}

fn lacks_disk(data_dir: &Path) -> bool {
    // A folder that cannot be read is not full.
    let Ok(disk) = statvfs(data_dir) else { return false };
    let unit = disk.fragment_size();
    let root = nix::unistd::geteuid().is_root();
    // Some blocks and files are kept for root.
    let blocks = if root { disk.blocks_free() } else { disk.blocks_available() };
    let files = if root { disk.files_free() } else { disk.files_available() };
    let bytes_min = DISK_BYTES_MIN.min(disk.blocks().saturating_mul(unit) / 50);
    // Some file systems count no files.
    let no_files = disk.files() > 0 && files < FILES_MIN.min(disk.files() / 50);
    blocks.saturating_mul(unit) < bytes_min || no_files
}

fn lacks_processes() -> bool {
    let probe = std::thread::Builder::new().stack_size(PROBE_STACK_BYTES).spawn(|| {});
    match probe {
        Ok(thread) => {
            // The thread does nothing, so it ends at once.
            let _ = thread.join();
            false
        }
        Err(error) => error.raw_os_error() == Some(EAGAIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_lacks_nothing_says_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(inspect(dir.path(), 1_024), NodeConditions::new());
    }

    #[test]
    fn almost_no_files_left_is_a_condition_before_there_are_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let open: Vec<File> = (0..64).map(|_| File::open("/dev/null").expect("opened")).collect();
        let found = inspect(dir.path(), 64);
        assert!(found["files"].contains("no more files"), "{found:?}");
        drop(open);
    }
}
