//! `volumes` and `tmpfs`.

use node_docker::container_spec::{BindOptions, Mount, TmpfsOptions, VolumeDriver, VolumeOptions};
use node_docker::service::ServiceSpec;
use node_values as values;

use super::STACK_LABEL;
use crate::context::{Context, Declared};
use crate::fields::{Fields, Text, as_text};
use crate::tree::{Node, Place, Value};

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec, context: &Context<'_>) {
    let path = fields.path("volumes");
    let mut mounts: Vec<(Place, Mount)> = Vec::new();
    for item in fields.items("volumes").unwrap_or_default() {
        let place = item.place.clone();
        let mount = match item.value {
            Value::Map(_) => of_map(item, &path, context),
            _ => as_text(item, &path, context.log).and_then(|text| of_text(&text, &path, context)),
        };
        mounts.extend(mount.map(|mount| (place, mount)));
    }
    for text in fields.texts("tmpfs").unwrap_or_default() {
        mounts.extend(of_tmpfs(&text, context).map(|mount| (text.place, mount)));
    }
    let container = spec.task_template.container_spec.get_or_insert_default();
    for (place, mount) in mounts {
        if container.mounts.iter().any(|other| other.target == mount.target) {
            let what = format!("`{path}`: two mounts at {}", mount.target);
            context.log.refuse(&place, what);
            continue;
        }
        container.mounts.push(mount);
    }
}

/// `source:target:options`, `source:target`, or a target alone.
fn of_text(text: &Text, path: &str, context: &Context<'_>) -> Option<Mount> {
    let Text { place, text } = text;
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => {
            let what =
                format!("`{path}`: {text:?} is no volume; write SOURCE:TARGET or SOURCE:TARGET:ro");
            context.log.refuse(place, what);
            return None;
        }
    };
    let mut mount = Mount { target: target.to_owned(), ..Mount::default() };
    let is_path = source.starts_with(['/', '.', '~']);
    if is_path {
        mount.kind = "bind".to_owned();
        mount.source = bind_source(source, place, path, context)?;
        // A folder that is not there is made, as Docker does for this form.
        mount.bind_options =
            Some(BindOptions { create_mountpoint: true, ..BindOptions::default() });
    } else {
        mount.kind = "volume".to_owned();
        volume(&mut mount, source, place, context)?;
    }
    for option in options.split(',').filter(|option| !option.is_empty()) {
        of_option(option, &mut mount, place, context)?;
    }
    Some(mount)
}

fn of_option(option: &str, mount: &mut Mount, place: &Place, context: &Context<'_>) -> Option<()> {
    match option {
        "ro" => mount.read_only = true,
        "rw" => {}
        "z" | "Z" => context.log.note(place, "SELinux labels are not set (`z`, `Z`)"),
        "cached" | "delegated" | "consistent" => {}
        "nocopy" if mount.kind == "volume" => {
            mount.volume_options.get_or_insert_default().no_copy = true;
        }
        "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave"
            if mount.kind == "bind" =>
        {
            mount.bind_options.get_or_insert_default().propagation = option.to_owned();
        }
        other => {
            let what = format!("a {} has no option {other:?}", mount.kind);
            context.log.refuse(place, what);
            return None;
        }
    }
    Some(())
}

/// A path of the node. One that is relative means the folder of whoever deploys, and no node has that.
fn bind_source(source: &str, place: &Place, path: &str, context: &Context<'_>) -> Option<String> {
    if source.starts_with('/') {
        return Some(source.to_owned());
    }
    let what = format!(
        "`{path}`: {source} is relative to this file, and the task runs on any node; write the whole \
         path on the nodes, a named volume, or a config"
    );
    context.log.refuse(place, what);
    None
}

fn volume(mount: &mut Mount, source: &str, place: &Place, context: &Context<'_>) -> Option<()> {
    if source.is_empty() {
        return Some(());
    }
    // A name for each task (`data-{{.Task.Slot}}`) is no key of a map: the volume is the stack's.
    let of_task = || Declared { name: context.full_name(source), ..Declared::default() };
    let of_task = source.contains("{{").then(of_task);
    let Some(declared) = context.volumes.get(source).or(of_task.as_ref()) else {
        let what =
            format!("the volume `{source}` is not in `volumes` of this file; write it there");
        context.log.refuse(place, what);
        return None;
    };
    let Declared { name, labels, is_external, driver } = declared;
    mount.source.clone_from(name);
    if !is_external {
        let options = mount.volume_options.get_or_insert_default();
        options.labels.clone_from(labels);
        options.labels.insert(STACK_LABEL.to_owned(), context.stack.clone());
        options.driver_config = driver.clone().map(|name| VolumeDriver { name });
    }
    Some(())
}

fn of_map(item: Node, path: &str, context: &Context<'_>) -> Option<Mount> {
    let place = item.place.clone();
    let mut long = Fields::of(item, path.to_owned(), context.log)?;
    let mut mount = Mount {
        kind: long.string("type").unwrap_or_else(|| "volume".to_owned()),
        target: long.string("target").unwrap_or_default(),
        read_only: long.flag("read_only").unwrap_or_default(),
        ..Mount::default()
    };
    let source = long.string("source").unwrap_or_default();
    long.ignore(&[("consistency", "it is for machines of developers")]);
    mount.volume_options = volume_options(&mut long);
    mount.bind_options = bind_options(&mut long);
    mount.tmpfs_options = tmpfs_options(&mut long);
    long.refuse(&[("image", "an image cannot be mounted yet")]);
    long.finish();
    match mount.kind.as_str() {
        "volume" => volume(&mut mount, &source, &place, context)?,
        "bind" => mount.source = bind_source(&source, &place, path, context)?,
        _ => mount.source = source,
    }
    if mount.target.is_empty() {
        context.log.refuse(&place, format!("`{path}`: `target` is missing"));
        return None;
    }
    Some(mount)
}

fn volume_options(long: &mut Fields<'_>) -> Option<VolumeOptions> {
    let mut volume = long.fields("volume")?;
    let options = VolumeOptions {
        no_copy: volume.flag("nocopy").unwrap_or_default(),
        labels: super::container::labels(&mut volume, "labels"),
        ..VolumeOptions::default()
    };
    volume.refuse(&[("subpath", "a part of a volume cannot be mounted yet")]);
    volume.finish();
    Some(options)
}

fn bind_options(long: &mut Fields<'_>) -> Option<BindOptions> {
    let mut bind = long.fields("bind")?;
    let is_flat = bind.read("recursive", |word| match word {
        "enabled" => Ok(false),
        "disabled" => Ok(true),
        other => Err(format!("there are enabled and disabled, not {other:?}")),
    });
    let options = BindOptions {
        propagation: bind.string("propagation").unwrap_or_default(),
        non_recursive: is_flat.unwrap_or_default(),
        create_mountpoint: bind.flag("create_host_path").unwrap_or_default(),
    };
    bind.ignore(&[("selinux", "SELinux labels are not set")]);
    bind.finish();
    Some(options)
}

fn tmpfs_options(long: &mut Fields<'_>) -> Option<TmpfsOptions> {
    let mut tmpfs = long.fields("tmpfs")?;
    let size = tmpfs.read("size", size).unwrap_or_default();
    let mode = tmpfs.read("mode", mode).unwrap_or_default();
    tmpfs.finish();
    Some(TmpfsOptions { size_bytes: size, mode })
}

fn size(text: &str) -> Result<i64, String> {
    let bytes = values::bytes(text).map_err(|bad| bad.to_string())?;
    i64::try_from(bytes).map_err(|_| format!("{text:?} is too large"))
}

/// The mode of a file: always octal, as everywhere else (`0755`, `755`, `0o755`).
pub fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| format!("{text:?} is no mode; write it in octal, like 0755"))
}

/// `/run`, or `/run:size=64m,mode=1777`.
fn of_tmpfs(text: &Text, context: &Context<'_>) -> Option<Mount> {
    let (target, options) = text.text.split_once(':').unwrap_or((&text.text, ""));
    let mut tmpfs = TmpfsOptions::default();
    let mut mount =
        Mount { kind: "tmpfs".to_owned(), target: target.to_owned(), ..Mount::default() };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let read = match option.split_once('=') {
            Some(("size", value)) => size(value).map(|size| tmpfs.size_bytes = size),
            Some(("mode", value)) => mode(value).map(|mode| tmpfs.mode = mode),
            None if option == "ro" => {
                mount.read_only = true;
                Ok(())
            }
            None if matches!(option, "rw" | "nosuid" | "nodev" | "noexec") => Ok(()),
            _ => Err(format!("a tmpfs has no option {option:?}: there are size, mode and ro")),
        };
        context.log.ok(&text.place, read)?;
    }
    mount.tmpfs_options = Some(tmpfs).filter(|options| *options != TmpfsOptions::default());
    Some(mount)
}
