//! From the flags of a container to its spec, and the image that it runs.

use std::collections::BTreeSet;

use runtime::image::Reference;

use super::flags::ContainerFlags;
use crate::failure::Failure;
use crate::output::say;
use node_docker::container_spec::ContainerSpec;
use node_docker::task_spec::PROCESS_SCHEME;

/// Docker's word for an empty list.
const RESET: &str = "RESET";

/// Applies the flags that `create` and `update` share.
pub fn apply(flags: &ContainerFlags, container: &mut ContainerSpec) {
    if let Some(words) = &flags.entrypoint {
        container.command.clone_from(&words.0);
    }
    if let Some(hostname) = &flags.hostname {
        container.hostname.clone_from(hostname);
    }
    if let Some(init) = flags.init {
        container.init = init.then_some(true);
    }
    container.read_only = flags.read_only.unwrap_or(container.read_only);
    container.tty = flags.tty.unwrap_or(container.tty);
    container.open_stdin = flags.interactive.unwrap_or(container.open_stdin);
    container.oom_score_adj = flags.oom_score_adj.unwrap_or(container.oom_score_adj);
    apply_capabilities(flags, container);
    for option in &flags.security_opt {
        option.clone().apply(container);
    }
    if let Some(users) = &flags.userns {
        let edge = container.edge.get_or_insert_default();
        edge.userns_mode =
            Some(users).filter(|users| *users != "host").cloned().unwrap_or_default();
    }
    if let Some(privileged) = flags.privileged {
        container.edge.get_or_insert_default().privileged = privileged;
    }
}

/// Docker's rules, measured with its client. Adding a dropped capability only cancels the drop, and
/// the other way round. One that is both added and dropped is added. `ALL` replaces all others,
/// `RESET` empties the list.
fn apply_capabilities(flags: &ContainerFlags, container: &mut ContainerSpec) {
    let held = |list: &[String], flags: &[String]| -> BTreeSet<String> {
        let is_reset = flags.iter().any(|name| name == RESET);
        if is_reset { BTreeSet::new() } else { list.iter().cloned().collect() }
    };
    let adds = held(&container.capability_add, &flags.cap_add);
    let drops = held(&container.capability_drop, &flags.cap_drop);
    let asked = |flags: &[String]| -> BTreeSet<String> {
        flags.iter().filter(|name| *name != RESET).cloned().collect()
    };
    let add = asked(&flags.cap_add);
    let drop: BTreeSet<String> = asked(&flags.cap_drop).difference(&add).cloned().collect();
    container.capability_add = changed(&adds, &add, &drop, &drops);
    container.capability_drop = changed(&drops, &drop, &add, &adds);
}

/// `held` without `undone`, plus the part of `wanted` that is not in `opposite`.
fn changed(
    held: &BTreeSet<String>,
    wanted: &BTreeSet<String>,
    undone: &BTreeSet<String>,
    opposite: &BTreeSet<String>,
) -> Vec<String> {
    let mut all: BTreeSet<&String> = held.difference(undone).collect();
    all.extend(wanted.difference(opposite));
    match all.iter().find(|name| **name == "ALL") {
        Some(every) => vec![(*every).clone()],
        None => all.into_iter().cloned().collect(),
    }
}

/// Checks an image before it is sent: a path means that the user wants a program of the host.
pub fn check_image(image: &str) -> Result<Reference, Failure> {
    image.parse::<Reference>().map_err(|bad| {
        let failure = Failure::new(format!("{image:?} is no image")).why(bad.to_string());
        match image.split_once("://") {
            _ if image.starts_with(['/', '.', '~']) => {
                failure.hint(format!("--runtime process {image}, for a program of the host"))
            }
            Some((_, rest)) if !rest.is_empty() => {
                failure.hint(format!("{rest}: an image has no scheme in front"))
            }
            _ => failure,
        }
    })
}

/// The program, if `image` names a program of the host instead of an image.
pub fn program(image: &str) -> Option<&str> {
    image.strip_prefix(PROCESS_SCHEME)
}

/// Explains what `--with-registry-auth` means here.
pub fn say_auth(flags: &ContainerFlags) {
    if flags.with_registry_auth {
        say("note: logins are not sent to other nodes: each pulls with its own Docker config.json");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updated(
        lists: (&[&str], &[&str]),
        add: &[&str],
        drop: &[&str],
    ) -> (Vec<String>, Vec<String>) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut container = ContainerSpec {
            capability_add: owned(lists.0),
            capability_drop: owned(lists.1),
            ..ContainerSpec::default()
        };
        let flags =
            ContainerFlags { cap_add: owned(add), cap_drop: owned(drop), ..Default::default() };
        apply(&flags, &mut container);
        (container.capability_add, container.capability_drop)
    }

    #[test]
    fn capabilities_change_as_docker_s_client_changes_them() {
        for (lists, add, drop, after) in [
            ((&["N"][..], &["C"][..]), &["C"][..], &[][..], (&["N"][..], &[][..])),
            ((&["N"], &[]), &["C"], &[], (&["C", "N"], &[])),
            ((&["C", "N"], &[]), &[], &["C"], (&["N"], &[])),
            ((&["N"], &[]), &[], &["C"], (&["N"], &["C"])),
            ((&["N"], &["C"]), &["K"], &["K"], (&["K", "N"], &["C"])),
            ((&["K", "N"], &["C"]), &["ALL"], &[], (&["ALL"], &["C"])),
            ((&["ALL"], &["C"]), &[], &["N"], (&["ALL"], &["C", "N"])),
            ((&["ALL"], &["C", "N"]), &[], &["ALL"], (&[], &["C", "N"])),
            ((&["R"], &["C"]), &["RESET"], &[], (&[], &["C"])),
            ((&[], &["C"]), &[], &["RESET"], (&[], &[])),
            ((&[], &[]), &["S"], &["ALL"], (&["S"], &["ALL"])),
            ((&["S"], &["ALL"]), &[], &["S"], (&[], &["ALL"])),
        ] {
            let (adds, drops) = updated(lists, add, drop);
            assert_eq!(adds, after.0, "{lists:?} +{add:?} -{drop:?}");
            assert_eq!(drops, after.1, "{lists:?} +{add:?} -{drop:?}");
        }
    }
}
