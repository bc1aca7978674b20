//! What is mounted into a container: the file systems of every Docker container, the run's own
//! files, the volumes that the image declares, the mounts of the service, its configs and secrets.
//!
//! The service's mounts replace the others: a mount at `/dev/shm` replaces the default one, a mount
//! at `/dev` everything below it. Folders come before their contents.

mod asked;
mod defaults;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, MountBuilder};

use super::files::RunFile;
use super::{BundleError, BundleInput};
use crate::{fleet_files, run_dir, tree};

/// Where the node's own first process is mounted.
pub const INIT: &str = "/sbin/docker-init";

/// All mounts, in the order in which they are made.
#[derive(Debug)]
pub struct Mounted {
    /// For the runtime.
    pub mounts: Vec<Mount>,
    /// How the container's root must be propagated for them, if it matters.
    pub propagation: Option<&'static str>,
}

/// Collects the mounts. Requests that cannot be fulfilled as given are added to `warnings`.
pub fn mounts(
    input: &BundleInput<'_>,
    files: &[RunFile],
    warnings: &mut Vec<String>,
) -> Result<Mounted, BundleError> {
    let container = &input.template().container;
    let asked = asked::asked(input)?;
    let propagation = asked::root_propagation(&container.mounts, warnings);

    let mut mounts = defaults::defaults(container);
    // As with Docker, they are not writable in a read-only container.
    let access = if container.read_only { "ro" } else { "rw" };
    let options = ["rbind", access, "rprivate"];
    mounts.extend(files.iter().map(|file| bind(&file.path, file.target, &options)));
    if let (true, Some(init)) = (container.init, input.init) {
        mounts.push(bind(init, INIT, &["bind", "ro"]));
    }
    mounts.extend(asked::declared_by_image(input));
    mounts.retain(|known| {
        let covered = |mount: &Mount| known.destination().starts_with(mount.destination());
        !asked.iter().any(covered)
    });
    mounts.extend(asked);
    mounts.extend(fleet_files(input)?);
    // The sort is stable: of equally deep mounts the defaults stay first.
    mounts.sort_by_key(|mount| mount.destination().components().count());
    Ok(Mounted { mounts, propagation })
}

/// The files of configs and secrets. They come after the other mounts of their depth: whatever is at
/// their place, the file is seen.
fn fleet_files(input: &BundleInput<'_>) -> Result<Vec<Mount>, BundleError> {
    let (dir, extension) = (input.run_dir, &input.template().extension);
    let configs = extension.configs.iter().enumerate();
    let configs = configs.filter(|(_, file)| !input.filled.contains(&file.id));
    let configs = configs.map(|(at, file)| (run_dir::config(dir, at), file.path()));
    let in_memory = fleet_files::in_memory(extension, input.filled).into_iter().enumerate();
    let in_memory = in_memory.map(|(at, file)| (run_dir::in_memory(dir, at), file.path()));
    let mounts = configs.chain(in_memory).map(|(source, path)| {
        let place = target(&path)?;
        let options = ["bind", "ro", "rprivate"];
        Ok(mount("bind", &source, &place.to_string_lossy(), &options))
    });
    mounts.collect()
}

fn bind(source: &Path, target: &str, options: &[&str]) -> Mount {
    mount("bind", source, target, options)
}

fn mount(kind: &str, source: &Path, target: &str, options: &[&str]) -> Mount {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    MountBuilder::default()
        .destination(target)
        .typ(kind)
        .source(source)
        .options(options)
        .build()
        .expect("no mappings are given")
}

/// A target in the container, normalised by [`tree::plain`].
fn target(text: &str) -> Result<PathBuf, BundleError> {
    let path = Path::new(text);
    if !path.is_absolute() || text.contains('\0') {
        return Err(BundleError::RelativeTarget(text.to_owned()));
    }
    let clean = tree::plain(path);
    if clean == Path::new("/") { Err(BundleError::TargetIsRoot) } else { Ok(clean) }
}

#[cfg(test)]
mod tests;
