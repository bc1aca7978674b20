//! Takes a lab down when this process ends, however it ends, and removes other things likewise.
//!
//! A shell in a process group of its own waits for the end of a pipe that only this process holds
//! open. The pipe ends when we finish, when somebody types Ctrl-C, and when we are killed. So no
//! signal handler is needed.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Waits for a word or the end of input. Only the word `keep` keeps the lab.
const SCRIPT: &str = r#"
trap "" INT TERM HUP
read -r word
[ "$word" = keep ] && exit 0
[ "$word" = done ] || echo "taking the lab down …" >&2
exec "$0" lab down --name "$1"
"#;

/// The lab is taken down, or what else the script does is done, when this value is dropped or the
/// process ends.
pub struct Guard {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts to guard the lab of this name, which need not exist yet.
    pub fn new(edgectl: &Path, lab: &str) -> Result<Guard> {
        Guard::with_script(SCRIPT, [edgectl.as_ref(), lab.as_ref()])
    }

    /// Starts a shell with this script, `$0` and `$1`. Such a script ignores SIGINT, SIGTERM and
    /// SIGHUP, and first reads a word or the end of its input.
    pub fn with_script(script: &str, words: [&OsStr; 2]) -> Result<Guard> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", script])
            .args(words)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start /bin/sh")?;
        let pipe = shell.stdin.take();
        Ok(Guard { shell, pipe })
    }

    /// Takes the lab down now, and waits for it.
    pub fn take_down(mut self) -> Result<()> {
        self.say("done")
    }

    /// Leaves the lab up.
    pub fn keep(mut self) -> Result<()> {
        self.say("keep")
    }

    fn say(&mut self, word: &str) -> Result<()> {
        let mut pipe = self.pipe.take().context("the guard was told already")?;
        writeln!(pipe, "{word}").context("the guard is gone")?;
        drop(pipe);
        let status = self.shell.wait()?;
        if !status.success() {
            bail!("the lab was not taken down; type: edgectl lab down");
        }
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The end of the pipe means "take it down".
        if self.pipe.take().is_some() {
            let _ = self.shell.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A replacement for edgectl that records the arguments it was called with.
    fn stand_in(name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
        let dir = std::env::temp_dir().join(format!("xtask-guard-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (program, said) = (dir.join("edgectl"), dir.join("said"));
        std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}\n", said.display()))
            .unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        (program, said)
    }

    #[test]
    fn a_guard_that_is_dropped_takes_the_lab_down() {
        let (program, said) = stand_in("dropped");
        drop(Guard::new(&program, "shop").unwrap());
        assert_eq!(std::fs::read_to_string(said).unwrap(), "lab down --name shop\n");
        std::fs::remove_dir_all(program.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_guard_that_is_told_to_keep_the_lab_keeps_it() {
        let (program, said) = stand_in("kept");
        Guard::new(&program, "shop").unwrap().keep().unwrap();
        assert!(!said.exists());
        std::fs::remove_dir_all(program.parent().unwrap()).unwrap();
    }
}
