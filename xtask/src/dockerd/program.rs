//! dockerd of Debian's packages: the one that is installed, or one that is downloaded and unpacked
//! below the target folder. Nothing is installed, and no service is started.

use crate::image::Folder;
use crate::repo;
use crate::step::succeed;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What dockerd starts comes from the last two.
const PACKAGES: [&str; 3] = ["docker.io", "containerd", "runc"];

/// The `PATH` with which dockerd and its client are found.
pub fn path() -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    if repo::program("dockerd").is_some() {
        return Ok(format!("/usr/sbin:/usr/bin:{path}"));
    }
    let root = unpacked()?.display().to_string();
    Ok(format!("{root}/usr/sbin:{root}/usr/bin:{path}"))
}

/// The folder with the unpacked packages; it is kept for the next run.
fn unpacked() -> Result<PathBuf> {
    let target = repo::metadata()?.target_directory;
    let root = target.join("docker");
    if root.join("usr/sbin/dockerd").is_file() {
        return Ok(root);
    }
    let work = Folder::new(target.join("docker.work"))?;
    let archives = work.0.join("archives");
    std::fs::create_dir_all(&archives)?;
    let mut download = Command::new("apt-get");
    download.args(["--quiet", "--option", "APT::Sandbox::User=root", "download"]).args(PACKAGES);
    succeed(download.current_dir(&archives).stdout(Stdio::null()))
        .context("no packages of Docker")?;
    let new = work.0.join("root");
    for entry in std::fs::read_dir(&archives)? {
        let mut extract = Command::new("dpkg-deb");
        succeed(extract.arg("--extract").arg(entry?.path()).arg(&new))?;
    }
    ensure!(new.join("usr/sbin/dockerd").is_file(), "docker.io has no dockerd");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    std::fs::rename(&new, &root)?;
    Ok(root)
}
