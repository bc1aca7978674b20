//! From the flags of a container to its spec, and the image that it runs.

use runtime::image::Reference;

use super::flags::ContainerFlags;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::cli::value::SecurityOption;
use crate::docker::container_spec::{ContainerSpec, Seccomp};
use crate::docker::task_spec::PROCESS_SCHEME;

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
        apply_security(*option, container);
    }
    if let Some(privileged) = flags.privileged {
        container.edge.get_or_insert_default().privileged = privileged;
    }
}

/// As in Docker, a capability that is added is no longer dropped, and the other way round; where
/// both are asked for, it is added.
fn apply_capabilities(flags: &ContainerFlags, container: &mut ContainerSpec) {
    let dropped: Vec<&String> =
        flags.cap_drop.iter().filter(|name| !flags.cap_add.contains(name)).collect();
    container.capability_drop.retain(|held| !flags.cap_add.contains(held));
    container.capability_add.retain(|held| !dropped.contains(&held));
    for name in &flags.cap_add {
        if !container.capability_add.contains(name) {
            container.capability_add.push(name.clone());
        }
    }
    for name in dropped {
        if !container.capability_drop.contains(name) {
            container.capability_drop.push(name.clone());
        }
    }
}

fn apply_security(option: SecurityOption, container: &mut ContainerSpec) {
    let mut privileges = container.privileges.take().unwrap_or_default();
    match option {
        SecurityOption::NoNewPrivileges(wanted) => privileges.no_new_privileges = wanted,
        SecurityOption::SeccompUnconfined(wanted) => {
            privileges.seccomp = wanted.then(|| Seccomp { mode: "unconfined".to_owned() });
        }
    }
    container.privileges = Some(privileges).filter(|wishes| *wishes != Default::default());
}

/// Checks an image before it is sent: a path is somebody who means a program of the host.
pub fn check_image(image: &str) -> Result<Reference, Failure> {
    image.parse::<Reference>().map_err(|bad| {
        let failure = Failure::new(format!("{image:?} is no image")).why(bad.to_string());
        if image.starts_with(['/', '.', '~']) {
            failure.hint(format!("--runtime process {image}, for a program of the host"))
        } else {
            failure
        }
    })
}

/// What a program of the host has in place of an image, if `image` is one.
pub fn program(image: &str) -> Option<&str> {
    image.strip_prefix(PROCESS_SCHEME)
}

/// Says what `--with-registry-auth` means here.
pub fn say_auth(flags: &ContainerFlags) {
    if flags.with_registry_auth {
        say("note: logins are not sent to other nodes: each pulls with its own Docker config.json");
    }
}
