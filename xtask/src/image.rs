//! Image archives in the format of `docker save`, of one layer, written with `tar` and `sha256sum`.
//!
//! For the examples, the demo and the bench, which must not depend on the code that they show. This
//! module must never use code of the product: an image that only our code can read proves nothing.

use crate::repo;
use crate::step::succeed;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes the image `name` with the files below `root` and the configuration `config`, in Docker's
/// format, to `archive`. All files belong to root.
pub fn write(root: &Path, config: &Value, name: &str, archive: &Path) -> Result<()> {
    let work = Folder::new(archive.with_extension("work"))?;
    let layer = work.0.join("layer.tar");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--mtime=@0", "--numeric-owner"])
        .args(["--owner=0", "--group=0", "--xattrs", "--file"])
        .arg(&layer)
        .args(["--directory".as_ref(), root.as_os_str(), ".".as_ref()]);
    succeed(&mut tar)?;
    let image = json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer)?)]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask"}],
    });
    let unnamed = work.0.join("config.json");
    std::fs::write(&unnamed, image.to_string())?;
    let file = format!("{}.json", sha256(&unnamed)?);
    std::fs::rename(&unnamed, work.0.join(&file))?;
    let manifest = json!([{"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]}]);
    std::fs::write(work.0.join("manifest.json"), manifest.to_string())?;
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(&work.0)
        .args(["manifest.json", &file, "layer.tar"]);
    succeed(&mut tar)
}

/// An image of busybox only, with all its programs in `/bin` and `files` on top: used by the demo,
/// the bench and the soak.
pub fn busybox(name: &str, files: &[(&str, &str)], archive: &Path) -> Result<()> {
    let file = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
    busybox_with(name, &files.iter().map(file).collect::<Vec<_>>(), archive)
}

/// The same, with files of any content.
pub fn busybox_with(name: &str, files: &[(String, Vec<u8>)], archive: &Path) -> Result<()> {
    let busybox = repo::program("busybox").context("no busybox; type: cargo xtask setup")?;
    let root = Folder::new(archive.with_extension("root"))?;
    for folder in ["bin", "etc", "tmp", "www"] {
        std::fs::create_dir_all(root.0.join(folder))?;
    }
    std::fs::copy(&busybox, root.0.join("bin/busybox"))?;
    let listed = Command::new(&busybox).arg("--list").output().context("busybox does not start")?;
    for program in String::from_utf8_lossy(&listed.stdout).lines().filter(|name| *name != "busybox")
    {
        std::os::unix::fs::symlink("busybox", root.0.join("bin").join(program))?;
    }
    std::fs::write(root.0.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    for (path, text) in files {
        let path = root.0.join(path);
        std::fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        std::fs::write(&path, text)?;
        if text.starts_with(b"#!") || text.starts_with(b"\x7fELF") {
            executable(&path)?;
        }
    }
    let config = json!({"Env": ["PATH=/bin"], "Cmd": ["sh"]});
    write(&root.0, &config, name, archive)
}

fn executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
}

/// This machine's architecture, as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The digest of a file, as hex digits.
fn sha256(path: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(path).output().context("cannot start sha256sum")?;
    ensure!(output.status.success(), "sha256sum {}", path.display());
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    // If the path has to be escaped, the line begins with a backslash.
    let digits = line.trim_start_matches('\\').split_whitespace().next();
    digits.map(str::to_owned).context("sha256sum printed nothing")
}

/// A folder that is deleted when this value is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Creates the folder, empty.
    pub fn new(path: PathBuf) -> Result<Folder> {
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(archive: &Path, member: &str) -> Value {
        let output =
            Command::new("tar").arg("-xOf").arg(archive).arg(member).output().expect("tar starts");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    #[test]
    fn an_archive_names_its_image_and_the_digest_of_its_layer() {
        let work = std::env::temp_dir().join(format!("xtask-image-{}", std::process::id()));
        let work = Folder::new(work).unwrap();
        let archive = work.0.join("shop.tar");
        busybox("shop:1", &[("www/cgi-bin/who", "#!/bin/sh\n")], &archive).unwrap();
        let manifest = read(&archive, "manifest.json");
        assert_eq!(manifest[0]["RepoTags"][0], "shop:1");
        let config = read(&archive, manifest[0]["Config"].as_str().unwrap());
        let mut untar = Command::new("tar");
        untar.arg("-xf").arg(&archive).arg("-C").arg(&work.0).arg("layer.tar");
        succeed(&mut untar).unwrap();
        let layer = format!("sha256:{}", sha256(&work.0.join("layer.tar")).unwrap());
        assert_eq!(config["rootfs"]["diff_ids"][0], layer);
        let list = Command::new("tar").arg("-tvf").arg(work.0.join("layer.tar")).output().unwrap();
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        let who = list.lines().find(|line| line.ends_with("cgi-bin/who")).unwrap();
        assert!(who.starts_with("-rwxr-xr-x 0/0"), "{who}");
        assert!(!archive.with_extension("work").exists());
    }
}
