//! The folder of Compose files that every node has: looked at every few seconds, and handed to
//! `edgectl stack sync` when it changed. That is a process of its own, so that what it reads takes no
//! memory of the agent's afterwards.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use node_agent::Handle;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// How often the folder is looked at; a file has to stay as it is for as long, because whoever writes
/// one writes it piece by piece.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// How soon it is tried again after a failure, or while the fleet is not as the files say.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Folders in folders that are looked at.
const DEPTH_MAX: usize = 8;
/// Files that are looked at.
const FILES_MAX: usize = 10_000;

/// What is here of a file: another size, time or place is another file.
type Files = BTreeMap<PathBuf, (u64, i64, i64, u64)>;

/// Watches `folder` as long as the agent lives. Which versions the node had is kept in `data_dir`.
pub async fn watch(folder: PathBuf, data_dir: PathBuf, socket: PathBuf, handle: Handle) {
    let state = data_dir.join("stacks.json");
    let (mut done, mut last): (Option<Files>, Option<Files>) = (None, None);
    let mut said = String::new();
    let mut again_at: Option<Instant> = None;
    let mut revision = None;
    loop {
        let looked = {
            let folder = folder.clone();
            tokio::task::spawn_blocking(move || files(&folder)).await.unwrap_or_default()
        };
        let is_still = last.as_ref() == Some(&looked);
        let is_new = done.as_ref() != Some(&looked);
        let is_due = again_at.is_some_and(|at| at <= Instant::now());
        if is_still && (is_new || is_due) {
            let result = sync(&folder, &state, &socket).await;
            let is_well = tell(&mut said, result);
            again_at = (!is_well).then(|| Instant::now() + AGAIN_AFTER);
            done = Some(looked.clone());
        }
        last = Some(looked);
        // Two sides of a partition that had different versions, or a node that began and went away.
        let now = handle.changes().revision();
        if again_at.is_none() && revision != Some(now) {
            revision = Some(now);
            let asked = handle.read_at(|node, now| !node.report(now).unsettled_stacks().is_empty());
            if asked.await.unwrap_or(false) {
                again_at = Some(Instant::now() + AGAIN_AFTER);
            }
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// What was said, and whether all went well.
async fn sync(folder: &Path, state: &Path, socket: &Path) -> std::io::Result<(bool, String)> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["stack", "sync", "--state"]).arg(state).arg(folder);
    command.env("EDGECTL_SOCKET", socket).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Logs what is new. Returns whether all went well.
fn tell(said: &mut String, result: std::io::Result<(bool, String)>) -> bool {
    let (is_well, text) = match result {
        Ok(result) => result,
        Err(error) => (false, format!("cannot start edgectl stack sync: {error}")),
    };
    if *said != text {
        for line in text.lines() {
            match is_well {
                true => tracing::info!("stacks: {line}"),
                false => tracing::warn!("stacks: {line}"),
            }
        }
        *said = text;
    }
    is_well
}

/// All files of the folder and those below it.
fn files(folder: &Path) -> Files {
    let mut files = Files::new();
    add(folder, 0, &mut files);
    files
}

fn add(folder: &Path, depth: usize, files: &mut Files) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if files.len() >= FILES_MAX {
            return;
        }
        // Behind a link is what counts: folders are often changed by changing one.
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() && depth < DEPTH_MAX => add(&path, depth + 1, files),
            Ok(found) => _ = files.insert(path, mark(&found)),
            Err(_) => {}
        }
    }
}

fn mark(found: &Metadata) -> (u64, i64, i64, u64) {
    (found.len(), found.mtime(), found.mtime_nsec(), found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_below_the_folder_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("site");
        std::fs::create_dir(&below).expect("a folder");
        std::fs::write(below.join("nginx.conf"), "a").expect("a file");
        let before = files(folder.path());
        assert_eq!((before.len(), &files(folder.path())), (1, &before));
        std::fs::write(below.join("nginx.conf"), "ab").expect("a file");
        assert_ne!(files(folder.path()), before);
        assert_eq!(files(&folder.path().join("none")), Files::new(), "a folder that comes later");
    }

    #[test]
    fn what_was_said_before_is_not_said_again() {
        let mut said = String::new();
        assert!(!tell(&mut said, Ok((false, "bad\n".to_owned()))));
        assert_eq!(said, "bad\n");
        assert!(tell(&mut said, Ok((true, String::new()))));
        assert_eq!(said, "");
    }
}
