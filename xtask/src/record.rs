//! `cargo xtask record`: plays the sessions of `node/tests/docker_api/recorded` against a Docker Swarm
//! of one node, and writes what it answers into them.
//!
//! The tests read the sessions and speak to dockerd; this only starts and ends it. It must never be
//! needed by a test.

use crate::dockerd::{Daemon, program};
use crate::guard::Guard;
use crate::repo;
use crate::setup;
use crate::step::succeed;
use anyhow::Result;
use std::process::Command;

/// Of the block for measurements, which Docker's own pools keep clear of.
const ADDRESS: &str = "198.18.0.1";

/// Removes the namespace, the folder and the cgroups of a name when the processes in them have ended.
const SWEEP: &str = r#"
trap "" INT TERM HUP
read -r word
ip netns delete "${1:?}"
for attempt in $(seq 100); do
    left=$(find /sys/fs/cgroup -depth -type d -path "*/$1*")
    [ -z "$left" ] && break
    rmdir $left 2> /dev/null
    sleep 0.1
done
rm -rf "/tmp/${1:?}"
[ -z "$left" ] || { echo "not removed: $left" >&2; exit 1; }
"#;

/// Records all sessions.
pub fn run() -> Result<()> {
    setup::run()?;
    let path = program::path()?;
    let name = format!("edgerecord{}", std::process::id());
    let _guard = Guard::with_script(SWEEP, ["sweep".as_ref(), name.as_ref()])?;
    let folder = std::path::Path::new("/tmp").join(&name);
    std::fs::create_dir(&folder)?;
    ip(&["netns", "add", &name])?;
    ip(&["-n", &name, "link", "set", "lo", "up"])?;
    ip(&["-n", &name, "address", "add", &format!("{ADDRESS}/32"), "dev", "lo"])?;
    let mut daemon = Daemon::start(&name, folder, &path)?;
    daemon.wait()?;
    let listen = format!("{ADDRESS}:2377");
    daemon.docker(&["swarm", "init", "--advertise-addr", ADDRESS, "--listen-addr", &listen])?;
    let mut sessions = repo::cargo();
    sessions.args(["nextest", "run", "--package", "node", "--test", "docker_api", "recorded::"]);
    succeed(sessions.env("EDGECTL_RECORD_HOST", daemon.host()))
}

fn ip(words: &[&str]) -> Result<()> {
    succeed(Command::new("ip").args(words))
}
