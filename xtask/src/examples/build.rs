//! Builds the images of `examples/images`: from a folder that describes an image to an archive.
//!
//! The code must never distinguish the examples: all differences are in their folders.

use super::packages;
use crate::image::{self, Folder};
use crate::repo;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// All examples by name, in order.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder())? {
        let entry = entry?;
        if entry.path().join("image.json").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The folder with the descriptions of the examples.
pub fn folder() -> PathBuf {
    repo::root().join("examples/images")
}

/// The image that was made last, unless a file of its description is newer or there is none.
pub fn newest(name: &str) -> Result<PathBuf> {
    let archive = repo::metadata()?.target_directory.join(format!("examples/{name}.tar"));
    let Ok(made) = archive.metadata().and_then(|archive| archive.modified()) else {
        return build(name);
    };
    let mut folders = vec![folder().join(name)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.metadata()?.modified()? > made {
                return build(name);
            }
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(archive)
}

/// Makes one image, `NAME:example`; returns the archive.
pub fn build(name: &str) -> Result<PathBuf> {
    let from = folder().join(name);
    let text = |file: &str| {
        fs::read_to_string(from.join(file))
            .with_context(|| format!("examples/images/{name}/{file}"))
    };
    if !from.is_dir() {
        bail!("no example {name}; there are: {}", names()?.join(", "));
    }
    let config: Value = serde_json::from_str(&text("image.json")?).context("image.json")?;
    let out = repo::metadata()?.target_directory.join("examples");
    let work = Folder::new(out.join(format!("{name}.build")))?;
    let root = work.0.join("root");
    fs::create_dir_all(&root)?;
    let wanted = text("packages")?;
    packages::unpack(&wanted.split_whitespace().collect::<Vec<_>>(), &work.0, &root)?;
    if from.join("root").is_dir() {
        overlay(&from.join("root"), &root)?;
    }
    for line in text("folders")?.lines() {
        let (path, mode) = line.split_once(' ').context("folders: PATH MODE")?;
        let path = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(&path)?;
        let mode = u32::from_str_radix(mode, 8).context("folders: the mode is octal")?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    let archive = out.join(format!("{name}.tar"));
    image::write(&root, &config, &format!("{name}:example"), &archive)?;
    Ok(archive)
}

/// Copies files over existing ones.
fn overlay(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target)?;
            overlay(&entry.path(), &target)?;
        } else {
            if target.symlink_metadata().is_ok() {
                fs::remove_file(&target)?;
            }
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_whole() {
        let names = names().unwrap();
        assert_eq!(names, ["mosquitto", "nginx", "node-exporter", "prometheus", "redis", "visits"]);
        for name in names {
            let from = folder().join(&name);
            for file in ["packages", "folders", "service.sh"] {
                assert!(from.join(file).is_file(), "{name}/{file}");
            }
            let command = fs::read_to_string(from.join("service.sh")).unwrap();
            assert!(command.contains(&format!("{name}:example")), "{command}");
        }
    }
}
