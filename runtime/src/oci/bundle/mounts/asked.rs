//! The mounts that the service and its image ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crdt_state::spec::{self, MountSource};
use nix::errno::Errno;
use oci_spec::runtime::Mount;

use super::super::{BundleError, BundleInput};
use super::{bind, mount, target};

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// The service's mounts, with normalised targets.
pub fn asked(input: &BundleInput<'_>) -> Result<Vec<Mount>, BundleError> {
    let mut targets = BTreeSet::new();
    let mut mounts = Vec::new();
    for asked in &input.template().container.mounts {
        let place = target(&asked.target)?;
        if !targets.insert(place.clone()) {
            return Err(BundleError::DuplicateTarget(asked.target.clone()));
        }
        mounts.push(one(input, asked, &place)?);
    }
    Ok(mounts)
}

fn one(input: &BundleInput<'_>, asked: &spec::Mount, place: &Path) -> Result<Mount, BundleError> {
    let access = if asked.read_only { "ro" } else { "rw" };
    let place = place.to_string_lossy();
    match &asked.source {
        MountSource::Bind { path, propagation, non_recursive, create } => {
            let found = existing(path);
            let source = if *create { found.or_else(|_| made(path))? } else { found? };
            let kind = if *non_recursive { "bind" } else { "rbind" };
            let propagation = self::propagation(propagation)?;
            Ok(bind(&source, &place, &[kind, access, propagation]))
        }
        MountSource::Volume { name, .. } => {
            let key = if name.is_empty() { place.as_ref() } else { name.as_str() };
            let source = input.volumes.get(key);
            let source = source.ok_or_else(|| BundleError::NoVolume(key.to_owned()))?;
            Ok(bind(source, &place, &["rbind", access, "rprivate"]))
        }
        MountSource::Tmpfs { size_bytes, mode } => {
            if *mode > 0o7777 {
                return Err(BundleError::TmpfsMode(*mode));
            }
            let mode = format!("mode={:o}", if *mode == 0 { 0o1777 } else { *mode });
            let size = format!("size={size_bytes}");
            let mut options = vec!["noexec", "nosuid", "nodev", access, mode.as_str()];
            options.extend((*size_bytes > 0).then_some(size.as_str()));
            Ok(mount("tmpfs", Path::new("tmpfs"), &place, &options))
        }
    }
}

/// A path of the node, which must exist.
fn existing(path: &str) -> Result<PathBuf, BundleError> {
    check_absolute(path)?;
    fs::metadata(path).map_err(|error| no_source(path, &error))?;
    Ok(PathBuf::from(path))
}

/// A folder of the node, made if it does not exist.
fn made(path: &str) -> Result<PathBuf, BundleError> {
    check_absolute(path)?;
    fs::create_dir_all(path).map_err(|error| no_source(path, &error))?;
    Ok(PathBuf::from(path))
}

fn check_absolute(path: &str) -> Result<(), BundleError> {
    let good = path.starts_with('/') && !path.contains('\0');
    if good { Ok(()) } else { Err(BundleError::RelativeSource(path.to_owned())) }
}

fn no_source(path: &str, error: &std::io::Error) -> BundleError {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    BundleError::NoSource { path: path.to_owned(), errno }
}

fn propagation(given: &str) -> Result<&'static str, BundleError> {
    if given.is_empty() {
        return Ok("rprivate");
    }
    let known = PROPAGATIONS.into_iter().find(|known| *known == given);
    known.ok_or_else(|| BundleError::UnknownPropagation(given.to_owned()))
}

/// How the container's root must be propagated so that later mounts of the node reach a bind mount.
/// Mounts that the container makes never reach the node: a run's mounts are private to it, so that
/// nothing of them is left when it ends.
pub fn root_propagation(asked: &[spec::Mount], warnings: &mut Vec<String>) -> Option<&'static str> {
    let mut needed = None;
    for asked in asked {
        let MountSource::Bind { propagation, .. } = &asked.source else { continue };
        match propagation.trim_start_matches('r') {
            "shared" => {
                let what = &asked.target;
                warnings.push(format!(
                    "what the container mounts below {what} does not reach the node: \
                     {propagation} works as rslave"
                ));
                needed = Some("rshared");
            }
            "slave" => needed = needed.or(Some("rslave")),
            _ => {}
        }
    }
    needed
}

/// The volumes that the image declares, except where the service mounts something itself.
pub fn declared_by_image(input: &BundleInput<'_>) -> Vec<Mount> {
    let declared = input.image.config().as_ref().and_then(|config| config.volumes().as_ref());
    let places = declared.into_iter().flatten().filter_map(|path| target(path).ok());
    let with_content = places.filter_map(|place| {
        let source = input.volumes.get(place.to_str()?)?;
        Some(bind(source, place.to_str()?, &["rbind", "rw", "rprivate"]))
    });
    with_content.collect()
}
