//! The program of a container: command line, variables, folder, user, and permissions.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crdt_state::spec::Template;
use nix::errno::Errno;
use oci_spec::image::Config;
use oci_spec::runtime::{Mount, Process, ProcessBuilder};

use super::capabilities::Allowed;
use super::identity::{self, ContainerUser};
use super::mounts::INIT;
use super::{BundleError, BundleInput, ulimits};
use crate::refusal::StartError;
use crate::tree::Root;

/// Docker's PATH.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The scores that the kernel accepts.
const OOM_SCORE: std::ops::RangeInclusive<i32> = -1000..=1000;

/// Describes the process. Makes its working directory, as Docker does.
pub fn process(
    input: &BundleInput<'_>,
    root: &Root,
    capabilities: &Allowed,
    mounts: &[Mount],
    warnings: &mut Vec<String>,
) -> Result<Process, StartError> {
    let template = input.template();
    let container = &template.container;
    let image = input.image.config().clone().unwrap_or_default();
    let user = template.user.as_deref().or(image.user().as_deref());
    let user = identity::look_up(root, user, &container.groups)?;
    let env = env(input, &image, &user)?;
    let dir = dir(template, &image)?;
    let covered: BTreeSet<&Path> =
        mounts.iter().map(|mount| mount.destination().as_path()).collect();
    if !is_covered(&covered, &dir) {
        root.make_folders(Path::new(&dir))
            .map_err(|errno| BundleError::Directory { dir: dir.clone(), errno })?;
    }
    let mut words = words(template, &image)?;
    find_program(&words[0], &env, &dir, root, &covered)?;
    if container.init && input.init.is_some() {
        words.splice(0..0, [INIT.to_owned(), "--".to_owned()]);
    }
    let uid = user.user.uid();
    let mut process = ProcessBuilder::default()
        .terminal(container.tty)
        .user(user.user)
        .args(words)
        .env(env)
        .cwd(dir)
        .capabilities(capabilities.of_user(uid))
        .rlimits(ulimits::ulimits(&container.ulimits, input.machine)?)
        .no_new_privileges(container.no_new_privileges)
        .build()
        .expect("every field has a default");
    process.set_oom_score_adj(oom_score(input, warnings)?);
    process.set_apparmor_profile(apparmor(input)?);
    Ok(process)
}

/// The AppArmor profile that it asks for. A container that asks for one must not run without it.
fn apparmor(input: &BundleInput<'_>) -> Result<Option<String>, BundleError> {
    let Some(name) = &input.template().extension.apparmor else { return Ok(None) };
    let machine = input.machine;
    if !machine.apparmor {
        return Err(BundleError::NoAppArmor(name.clone()));
    }
    match &machine.apparmor_profiles {
        Some(loaded) if !loaded.contains(name) => Err(BundleError::AppArmorProfile(name.clone())),
        Some(_) | None => Ok(Some(name.clone())),
    }
}

/// Docker's rule: a service that gives its own entrypoint discards the image's command with it.
fn words(template: &Template, image: &Config) -> Result<Vec<String>, StartError> {
    let of_image = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let (mut words, command) = match template.command.as_slice() {
        [] => (of_image(image.entrypoint()), of_image(image.cmd())),
        command => (command.to_vec(), Vec::new()),
    };
    words.extend(if template.args.is_empty() { command } else { template.args.clone() });
    if words.iter().any(|word| word.contains('\0')) {
        return Err(StartError::NulByte { what: "command" });
    }
    match words.first() {
        Some(first) if !first.is_empty() => Ok(words),
        _ => Err(BundleError::NothingToRun.into()),
    }
}

/// The environment: the service's variables win over the image's, and those over Docker's own.
fn env(
    input: &BundleInput<'_>,
    image: &Config,
    user: &ContainerUser,
) -> Result<Vec<String>, StartError> {
    let template = input.template();
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| match variables.iter_mut().find(|(n, _)| n == name) {
        Some((_, known)) => value.clone_into(known),
        None => variables.push((name.to_owned(), value.to_owned())),
    };
    set("PATH", PATH_DEFAULT);
    set("HOSTNAME", input.hostname);
    if template.container.tty {
        set("TERM", "xterm");
    }
    set("HOME", &user.home);
    for entry in image.env().iter().flatten() {
        // An entry of an image without `=` sets nothing.
        if let Some((name, value)) = entry.split_once('=') {
            set(name, value);
        }
    }
    for entry in &template.env {
        let pair = entry.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.ok_or_else(|| StartError::BadVariable(entry.clone()))?;
        set(name, value);
    }
    if variables.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(StartError::NulByte { what: "environment" });
    }
    Ok(variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn dir(template: &Template, image: &Config) -> Result<String, BundleError> {
    let of_image = || image.working_dir().as_deref().filter(|dir| !dir.is_empty());
    let dir = template.dir.as_deref().or_else(of_image).unwrap_or("/");
    let good = dir.starts_with('/') && !dir.contains('\0');
    if good { Ok(dir.to_owned()) } else { Err(BundleError::RelativeDirectory(dir.to_owned())) }
}

/// Is it below a mount, and so not visible yet?
fn is_covered(covered: &BTreeSet<&Path>, path: &str) -> bool {
    covered.iter().any(|mount| Path::new(path).starts_with(mount))
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A file with at least one bit of execution.
    Program,
    /// Something else.
    Other,
}

/// What is at a path, if anything.
fn find(root: &Root, path: &str) -> Option<Found> {
    let found = root.find(Path::new(path)).ok()?.metadata().ok()?;
    let program = found.is_file() && found.mode() & 0o111 != 0;
    Some(if program { Found::Program } else { Found::Other })
}

/// Reports early what an OCI runtime would only report as an error number of `execve`. A program
/// that comes with a mount is left to the runtime.
fn find_program(
    word: &str,
    env: &[String],
    dir: &str,
    root: &Root,
    covered: &BTreeSet<&Path>,
) -> Result<(), BundleError> {
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
    let candidates: Vec<String> = if word.starts_with('/') {
        vec![word.to_owned()]
    } else if word.contains('/') {
        vec![format!("{dir}/{word}")]
    } else {
        path.split(':').map(|folder| format!("{folder}/{word}")).collect()
    };
    let mut other = None;
    for candidate in candidates {
        match find(root, &candidate) {
            Some(Found::Program) => return Ok(()),
            _ if is_covered(covered, &candidate) => return Ok(()),
            Some(Found::Other) => other = other.or(Some(candidate)),
            None => {}
        }
    }
    Err(match other {
        Some(program) => BundleError::NotExecutable { program },
        None if word.contains('/') => {
            BundleError::NoProgram { program: word.to_owned(), path: "its files".to_owned() }
        }
        None => BundleError::NoProgram { program: word.to_owned(), path: path.to_owned() },
    })
}

/// The score, unless this process may not set one that low: then the container has the agent's own.
fn oom_score(
    input: &BundleInput<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<i32>, BundleError> {
    let asked = input.template().container.oom_score_adj;
    if !OOM_SCORE.contains(&asked) {
        return Err(BundleError::OomScore(asked));
    }
    let machine = input.machine;
    if asked >= machine.oom_score_adj || machine.holds_sys_resource() {
        return Ok(Some(asked));
    }
    if asked < 0 {
        let own = machine.oom_score_adj;
        warnings.push(format!(
            "the agent may not lower the out-of-memory score to {asked} ({}): it stays {own}",
            Errno::EPERM.desc()
        ));
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
