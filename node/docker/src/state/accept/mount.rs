//! The mounts of a container: `Mounts`.

use crdt_state::spec::{Mount, MountSource};
use node_core::expand::{Piece, Placeholder, pieces};

use super::super::BadSpec;
use super::bad_value;
use crate::container_spec as docker;

const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

pub(super) fn accept(sent: docker::Mount) -> Result<Mount, BadSpec> {
    check_target(&sent.target)?;
    let source = match sent.kind.as_str() {
        "" | "volume" => accept_volume(&sent)?,
        "bind" => accept_bind(&sent)?,
        "tmpfs" => accept_tmpfs(&sent)?,
        "npipe" | "cluster" | "image" => {
            return Err(BadSpec::NotYet(format!("Mounts.Type `{}`", sent.kind)));
        }
        other => return Err(bad_value("Mounts.Type", other, "there are bind, volume and tmpfs")),
    };
    Ok(Mount { source, target: sent.target, read_only: sent.read_only })
}

fn check_target(target: &str) -> Result<(), BadSpec> {
    if target == "/proc" || target.starts_with("/proc/") {
        let hint = "the container's own /proc is there; name another folder, like /host/proc";
        return Err(bad_value("Mounts.Target", target, hint));
    }
    if !target.starts_with('/') {
        return Err(bad_value(
            "Mounts.Target",
            target,
            "it is a path in the container, from its root; write it like /data",
        ));
    }
    if target.split('/').all(|part| matches!(part, "" | "." | "..")) {
        let hint = "the root itself cannot be mounted over; name a folder below it";
        return Err(bad_value("Mounts.Target", target, hint));
    }
    Ok(())
}

/// Refuses options of another kind of mount than this one.
fn refuse_others(sent: &docker::Mount, other: Option<&'static str>) -> Result<(), BadSpec> {
    match other {
        Some(options) => Err(bad_value(
            "Mounts.Type",
            if sent.kind.is_empty() { "volume" } else { &sent.kind },
            &format!("it has no {options}; leave them out, or change the type"),
        )),
        None => Ok(()),
    }
}

fn accept_bind(sent: &docker::Mount) -> Result<MountSource, BadSpec> {
    let others = sent.volume_options.as_ref().map(|_| "VolumeOptions");
    refuse_others(sent, others.or(sent.tmpfs_options.as_ref().map(|_| "TmpfsOptions")))?;
    if !sent.source.starts_with('/') && !sent.source.starts_with("{{") {
        return Err(bad_value(
            "Mounts.Source",
            &sent.source,
            "a bind mount takes a path of the node, from its root; write it like /srv/data, or \
             use type=volume for a volume of this name",
        ));
    }
    let options = sent.bind_options.clone().unwrap_or_default();
    let propagation = options.propagation;
    if !propagation.is_empty() && !PROPAGATIONS.contains(&propagation.as_str()) {
        let hint = format!("there are {}", PROPAGATIONS.join(", "));
        return Err(bad_value("Mounts.BindOptions.Propagation", &propagation, &hint));
    }
    Ok(MountSource::Bind {
        path: sent.source.clone(),
        propagation,
        non_recursive: options.non_recursive,
        create: options.create_mountpoint,
    })
}

fn accept_volume(sent: &docker::Mount) -> Result<MountSource, BadSpec> {
    let others = sent.bind_options.as_ref().map(|_| "BindOptions");
    refuse_others(sent, others.or(sent.tmpfs_options.as_ref().map(|_| "TmpfsOptions")))?;
    let name = &sent.source;
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let filled = without_placeholders(name);
    let is_name = filled.starts_with(|c: char| c.is_ascii_alphanumeric())
        && filled.chars().all(is_inner)
        && name.len() != 1;
    if name.starts_with('/') {
        let hint = "a volume has a name, not a path; for a path of the node use type=bind";
        return Err(bad_value("Mounts.Source", name, hint));
    }
    if !name.is_empty() && !is_name {
        return Err(bad_value(
            "Mounts.Source",
            name,
            "a volume's name is two or more letters, digits, `_`, `.` or `-`, the first a letter \
             or digit; write it like pgdata",
        ));
    }
    let options = sent.volume_options.clone().unwrap_or_default();
    let driver = options.driver_config.unwrap_or_default().name;
    if !matches!(driver.as_str(), "" | "local") {
        return Err(BadSpec::NotYet(format!("the volume driver `{driver}` (`local` is)")));
    }
    Ok(MountSource::Volume { name: name.clone(), no_copy: options.no_copy, labels: options.labels })
}

/// A letter stands for each placeholder. One that does not exist is refused later, with those that
/// there are.
fn without_placeholders(name: &str) -> String {
    let Ok(pieces) = pieces(name) else { return "x".to_owned() };
    let piece = |piece: &Piece<'_>| match piece {
        Piece::Filled(Placeholder::Literal(text)) | Piece::Text(text) => (*text).to_owned(),
        Piece::Filled(_) => "x".to_owned(),
    };
    pieces.iter().map(piece).collect()
}

fn accept_tmpfs(sent: &docker::Mount) -> Result<MountSource, BadSpec> {
    let others = sent.bind_options.as_ref().map(|_| "BindOptions");
    refuse_others(sent, others.or(sent.volume_options.as_ref().map(|_| "VolumeOptions")))?;
    if !sent.source.is_empty() {
        let hint = "memory has no source; leave it out";
        return Err(bad_value("Mounts.Source", &sent.source, hint));
    }
    let options = sent.tmpfs_options.clone().unwrap_or_default();
    let size_bytes = u64::try_from(options.size_bytes).map_err(|_| {
        let hint = "a size is not negative; leave it out for half of the node's memory";
        bad_value("Mounts.TmpfsOptions.SizeBytes", &options.size_bytes.to_string(), hint)
    })?;
    if options.mode > 0o7777 {
        let hint = "permission bits are at most 7777 octal; 1777 octal is 1023";
        return Err(bad_value("Mounts.TmpfsOptions.Mode", &options.mode.to_string(), hint));
    }
    Ok(MountSource::Tmpfs { size_bytes, mode: options.mode })
}
