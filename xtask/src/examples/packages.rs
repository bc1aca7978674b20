//! Makes a root folder from Debian's packages: apt-get downloads them, dpkg-deb unpacks them, and
//! they are not installed.
//!
//! No script of a package is run, so nothing here needs root, a chroot or the network of a fleet.
//! This module must never touch the packages that are installed on this machine.

use crate::image::Folder;
use crate::step::succeed;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Packages that only installation scripts need: leaving them out saves half of every image.
const SCRIPTS_ONLY: [&str; 10] = [
    "adduser",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "iproute2",
    "lsb-base",
    "passwd",
    "sysvinit-utils",
    "tar",
    "usrmerge",
];

/// Folders that are links into `/usr` on every recent Debian.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Accounts of the examples' programs, because no package script creates them.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
redis:x:101:101:redis:/data:/usr/sbin/nologin
mosquitto:x:102:102:mosquitto:/data:/usr/sbin/nologin
prometheus:x:103:103:prometheus:/data:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "\
root:x:0:
www-data:x:33:
redis:x:101:
mosquitto:x:102:
prometheus:x:103:
nogroup:x:65534:
";

/// Downloads the packages and all their dependencies into `cache`, and unpacks them into `root`.
pub fn unpack(packages: &[&str], cache: &Path, root: &Path) -> Result<()> {
    for merged in MERGED {
        std::fs::create_dir_all(root.join("usr").join(merged))?;
        std::os::unix::fs::symlink(format!("usr/{merged}"), root.join(merged))?;
    }
    for archive in download(packages, cache)? {
        extract(&archive, root)?;
    }
    for useless in ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian"] {
        let useless = root.join(useless);
        if useless.exists() {
            std::fs::remove_dir_all(&useless)?;
        }
    }
    std::fs::create_dir_all(root.join("etc"))?;
    std::fs::write(root.join("etc/passwd"), PASSWD)?;
    std::fs::write(root.join("etc/group"), GROUP)?;
    Ok(())
}

/// Downloads the packages with their dependencies, without those that only scripts need.
fn download(packages: &[&str], cache: &Path) -> Result<Vec<PathBuf>> {
    let archives = Folder::new(cache.join("archives"))?;
    std::fs::create_dir_all(archives.0.join("partial"))?;
    // apt-get is told that nothing is installed, so the closure is complete, and the same
    // everywhere.
    let status = cache.join("status");
    std::fs::write(&status, "")?;
    let mut apt_get = Command::new("apt-get");
    apt_get
        .args(["--quiet", "--yes", "--no-install-recommends", "--download-only"])
        .args(["--option", &format!("Dir::State::status={}", status.display())])
        .args(["--option", &format!("Dir::Cache::archives={}", archives.0.display())])
        .args(["--option", "Debug::NoLocking=1", "--option", "APT::Sandbox::User=root"])
        .arg("install")
        .args(packages)
        .stdout(Stdio::null());
    succeed(&mut apt_get).context("no packages; are the lists there? apt-get update")?;
    let kept = cache.join("kept");
    if kept.exists() {
        std::fs::remove_dir_all(&kept)?;
    }
    std::fs::create_dir_all(&kept)?;
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&archives.0)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".deb") && is_wanted(&name) {
            let to = kept.join(name);
            std::fs::rename(entry.path(), &to)?;
            all.push(to);
        }
    }
    ensure!(!all.is_empty(), "apt-get downloaded nothing for {}", packages.join(" "));
    all.sort();
    Ok(all)
}

/// Does a container need this archive, by its file name `package_version_arch.deb`?
fn is_wanted(file: &str) -> bool {
    let package = file.split('_').next().unwrap_or_default();
    !SCRIPTS_ONLY.contains(&package) && !package.contains("perl")
}

/// Unpacks one archive over earlier ones; a folder that is a link stays a link.
fn extract(archive: &Path, root: &Path) -> Result<()> {
    let mut from = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let packed = from.stdout.take().context("stdout is piped")?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--keep-directory-symlink", "--file", "-", "--directory"]).arg(root);
    let unpacked = succeed(tar.stdin(packed));
    ensure!(from.wait()?.success(), "dpkg-deb cannot read {}", archive.display());
    unpacked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_an_installation_needs_stays_out() {
        assert!(is_wanted("libc6_2.36-9_amd64.deb"));
        assert!(is_wanted("libtirpc3_1.3.3+ds-1_amd64.deb"));
        assert!(!is_wanted("adduser_3.134_all.deb"));
        assert!(!is_wanted("libperl5.36_5.36.0-7_amd64.deb"));
    }
}
