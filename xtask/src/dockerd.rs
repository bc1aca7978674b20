//! dockerd of Debian's packages, in namespaces of its own: for the bench, and to record what it does.
//!
//! Its processes are a process namespace, whose end is the end of all of them: when its handle is
//! dropped, and when we end in whatever way. dockerd must never see the machine's own network, `/run`
//! or configuration.

pub mod program;

use crate::fleet::place::{Place, Running};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// dockerd starts within a second or two.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is asked.
pub const POLL: Duration = Duration::from_millis(20);

/// Sees nothing of the machine but its files: `/run` is its own, and its configuration is empty.
const SCRIPT: &str = r#"
mount --bind "$1/run" /run && exec dockerd --config-file "$1/none.json" \
    --data-root "$1/data" --exec-root /run/docker --pidfile /run/docker.pid \
    --host "unix://$1/docker.sock" --exec-opt native.cgroupdriver=cgroupfs \
    --cgroup-parent "/$2" > "$1/log" 2>&1
"#;

/// Removes the cgroups of a name when the processes in them have ended.
pub const SWEEP: &str = r#"
trap "" INT TERM HUP
read -r word
for attempt in $(seq 100); do
    left=$(find /sys/fs/cgroup -depth -type d -path "*/$1*")
    [ -z "$left" ] && exit 0
    rmdir $left 2> /dev/null
    sleep 0.1
done
echo "not removed: $left" >&2
exit 1
"#;

/// One dockerd; it ends when this value is dropped.
pub struct Daemon {
    process: Running,
    folder: PathBuf,
    path: String,
}

impl Daemon {
    /// Starts it in the network namespace of this name, with a cgroup of this name. Files are in
    /// `folder`; `path` is that of [`program::path`].
    pub fn start(name: &str, folder: PathBuf, path: &str) -> Result<Daemon> {
        std::fs::create_dir_all(folder.join("run"))?;
        std::fs::write(folder.join("none.json"), "{}\n")?;
        let own = ["unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc"];
        let whole = ["--fork", "--kill-child", "env", &format!("PATH={path}")];
        let shell = ["sh", "-c", SCRIPT, "sh", text(&folder)?, name];
        let process = Place::named(name).start(&[&own[..], &whole, &shell].concat())?;
        Ok(Daemon { process, folder, path: path.to_owned() })
    }

    /// Waits until it answers.
    pub fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.docker(&["info"]).is_err() {
            if self.process.has_ended()? || begun.elapsed() > TIMEOUT {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("dockerd does not start: {}", log.lines().last().unwrap_or("it is silent"));
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Docker's client against this daemon; returns its stdout.
    pub fn docker(&self, words: &[&str]) -> Result<String> {
        let socket = self.host();
        let mut command = Command::new("env");
        // The client of a person may have other settings.
        command
            .arg(format!("PATH={}", self.path))
            .arg(format!("DOCKER_CONFIG={}", text(&self.folder)?));
        let output = command.args(["docker", "--host", &socket]).args(words).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker {}: {}", words.join(" "), error.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What a client is to talk to.
    pub fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.display())
    }

    /// A path of the daemon's as it is seen from here.
    pub fn inside(&self, path: &str) -> PathBuf {
        // `/var/run` is a link to the `/run` that only the daemon has.
        let path =
            path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
        PathBuf::from(format!("/proc/{}/root{path}", self.process.id()))
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the lab's folder is no text")
}
