//! A filter of system calls that an operator wrote, in the form of Docker's profiles
//! (docs.docker.com/engine/security/seccomp): what of it holds for one container on one machine.
//!
//! Pure: the machine and the container are arguments. A profile that could not be enforced as it is
//! written is an error, never a wider filter.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};
use serde::Deserialize;

use super::own_architecture;

/// A profile as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
    // Podman's word for what the number says already.
    #[serde(default, rename = "defaultErrno")]
    _default_errno: Option<String>,
    #[serde(default, rename = "comment")]
    _comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    name: Option<String>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    #[serde(default)]
    includes: Option<When>,
    #[serde(default)]
    excludes: Option<When>,
    #[serde(default, rename = "errno")]
    _errno: Option<String>,
    #[serde(default, rename = "comment")]
    _comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arg {
    index: usize,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: LinuxSeccompOperator,
}

/// Where a rule holds, or where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct When {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// What a profile depends on.
pub struct Circumstances<'a> {
    /// Has the container the capability of this name, given without `CAP_`?
    pub has_capability: &'a dyn Fn(&str) -> bool,
    /// Does this machine's libseccomp know the system call?
    pub knows_call: &'a dyn Fn(&str) -> bool,
    /// The kernel's version and its first part behind the point.
    pub kernel: (u32, u32),
}

/// A profile that no container can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// It is no JSON, or has another form.
    #[error("it is no profile in Docker's form: {0}")]
    Form(String),
    /// A rule without a system call.
    #[error("rule {0} of `syscalls` has no `names`: name its system calls, or leave it out")]
    NoNames(usize),
    /// A name that no kernel has.
    #[error("there is no system call {0}{1}; correct it, or leave it out")]
    UnknownCall(String, String),
    /// An action that needs somebody who answers.
    #[error("SCMP_ACT_NOTIFY needs a supervisor, and there is none here; use SCMP_ACT_ERRNO")]
    Notify,
    /// More than six arguments.
    #[error("a system call has the arguments 0 to 5, and `args` names {0}")]
    Argument(usize),
    /// Two lists of processors.
    #[error("`architectures` and `archMap` are both given; leave one of them out")]
    TwoLists,
    /// `minKernel` is no version.
    #[error("`minKernel` {0:?} is no version; write it like \"4.8\"")]
    Kernel(String),
    /// What it forbids could not be forbidden here.
    #[error(
        "this node's libseccomp does not know the system call {0}, which the profile is to keep \
         from the container: leave it out, or deny by default (\"defaultAction\": \"SCMP_ACT_ERRNO\")"
    )]
    CannotForbid(String),
    /// libseccomp or the kernel does not take it.
    #[error("it makes no filter: {0}")]
    Compile(String),
}

impl Profile {
    /// Reads a profile.
    pub fn parse(text: &str) -> Result<Profile, BadProfile> {
        let read: Result<Profile, _> = serde_json::from_str(text);
        let profile = read.map_err(|error| BadProfile::Form(error.to_string()))?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), BadProfile> {
        if self.has(&self.architectures) && self.has(&self.arch_map) {
            return Err(BadProfile::TwoLists);
        }
        let actions = self.rules().iter().map(|rule| rule.action);
        if actions.chain([self.default_action]).any(|one| one == LinuxSeccompAction::ScmpActNotify)
        {
            return Err(BadProfile::Notify);
        }
        for (at, rule) in self.rules().iter().enumerate() {
            if rule.names().next().is_none() {
                return Err(BadProfile::NoNames(at + 1));
            }
            if let Some(arg) = rule.args().iter().find(|arg| arg.index > 5) {
                return Err(BadProfile::Argument(arg.index));
            }
            let versions = [&rule.includes, &rule.excludes].into_iter().flatten();
            for version in versions.filter_map(|when| when.min_kernel.as_deref()) {
                version_of(version).ok_or_else(|| BadProfile::Kernel(version.to_owned()))?;
            }
        }
        Ok(())
    }

    fn has<T>(&self, list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|list| !list.is_empty())
    }

    fn rules(&self) -> &[Rule] {
        self.syscalls.as_deref().unwrap_or_default()
    }

    /// The system calls that it names.
    pub fn calls(&self) -> impl Iterator<Item = &str> {
        self.rules().iter().flat_map(Rule::names)
    }

    /// The filter for one container.
    pub fn resolve(&self, of: &Circumstances<'_>) -> Result<LinuxSeccomp, BadProfile> {
        let mut calls = Vec::new();
        for rule in self.rules().iter().filter(|rule| rule.holds(of)) {
            // libseccomp takes no rule that says what holds anyway.
            let is_default = rule.action == self.default_action
                && (rule.action != LinuxSeccompAction::ScmpActErrno
                    || rule.errno_ret == self.default_errno_ret);
            if is_default {
                continue;
            }
            let (known, unknown): (Vec<&str>, Vec<&str>) =
                rule.names().partition(|name| (of.knows_call)(name));
            if let (Some(name), true) = (unknown.first(), self.is_wider_without(rule)) {
                return Err(BadProfile::CannotForbid((*name).to_owned()));
            }
            if !known.is_empty() {
                calls.extend(rule.written(&known));
            }
        }
        let mut filter = LinuxSeccompBuilder::default()
            .default_action(self.default_action)
            .syscalls(calls)
            .build()
            .expect("every field has a default");
        filter.set_default_errno_ret(self.default_errno_ret);
        filter.set_architectures(Some(self.processors()).filter(|list| !list.is_empty()));
        Ok(filter)
    }

    /// Would a container be allowed more if the rule were left out?
    fn is_wider_without(&self, rule: &Rule) -> bool {
        let lets = |action| {
            use LinuxSeccompAction::{ScmpActAllow, ScmpActLog};
            matches!(action, ScmpActAllow | ScmpActLog)
        };
        lets(self.default_action) && !lets(rule.action)
    }

    /// The processors whose programs this machine can run. Others never ask its kernel.
    fn processors(&self) -> Vec<Arch> {
        let own = own_architecture().0;
        let read = |name: &String| serde_json::from_value(name.clone().into()).ok();
        let given = |names: &[String]| -> Vec<Arch> {
            names.iter().filter_map(read).filter(|arch| own.contains(arch)).collect()
        };
        let maps = self.arch_map.as_deref().unwrap_or_default();
        let map = maps.iter().find(|map| read(&map.architecture).as_ref() == own.first());
        match map {
            Some(map) => {
                let subs = map.sub_architectures.as_deref().unwrap_or_default();
                given(&[std::slice::from_ref(&map.architecture), subs].concat())
            }
            None => given(self.architectures.as_deref().unwrap_or_default()),
        }
    }
}

impl Rule {
    fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.names.as_deref().unwrap_or_default();
        names.iter().chain(&self.name).map(String::as_str)
    }

    fn args(&self) -> &[Arg] {
        self.args.as_deref().unwrap_or_default()
    }

    /// Docker's rules: it holds where all that it includes is true, and nothing that it excludes.
    fn holds(&self, of: &Circumstances<'_>) -> bool {
        let arch = docker_arch();
        let has = |name: &String| (of.has_capability)(name.strip_prefix("CAP_").unwrap_or(name));
        let is_newer = |when: &When| {
            let version = when.min_kernel.as_deref().and_then(version_of);
            version.map(|version| of.kernel >= version)
        };
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let (includes, excludes) = (self.includes.as_ref(), self.excludes.as_ref());
        let included = includes.is_none_or(|when| {
            let arches = list(&when.arches);
            (arches.is_empty() || arches.iter().any(|one| one == arch))
                && list(&when.caps).iter().all(has)
                && is_newer(when) != Some(false)
        });
        let excluded = excludes.is_some_and(|when| {
            list(&when.arches).iter().any(|one| one == arch)
                || list(&when.caps).iter().any(has)
                || is_newer(when) == Some(true)
        });
        included && !excluded
    }

    /// The rule in OCI's form. Of two conditions on one argument, which libseccomp does not take, one
    /// is enough, as with runc.
    fn written(&self, names: &[&str]) -> Vec<LinuxSyscall> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let args: Vec<LinuxSeccompArg> = self.args().iter().map(Arg::written).collect();
        let call = |args: Vec<LinuxSeccompArg>| {
            let call = LinuxSyscallBuilder::default().names(names.clone()).action(self.action);
            let mut call = call.build().expect("every field has a default");
            call.set_errno_ret(self.errno_ret);
            call.set_args(Some(args).filter(|args| !args.is_empty()));
            call
        };
        let is_repeated = |(at, arg): (usize, &Arg)| {
            self.args()[..at].iter().any(|before| before.index == arg.index)
        };
        match self.args().iter().enumerate().any(is_repeated) {
            true => args.into_iter().map(|arg| call(vec![arg])).collect(),
            false => vec![call(args)],
        }
    }
}

impl Arg {
    fn written(&self) -> LinuxSeccompArg {
        let arg = LinuxSeccompArgBuilder::default().index(self.index).value(self.value).op(self.op);
        let arg = match self.op {
            LinuxSeccompOperator::ScmpCmpMaskedEq => arg.value_two(self.value_two),
            _ => arg,
        };
        arg.build().expect("every field has a default")
    }
}

/// This processor in the words of profiles, which are Go's.
fn docker_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `4.8` of `4.8`, and of `4.8.0-12-amd64`.
pub fn version_of(text: &str) -> Option<(u32, u32)> {
    let (first, rest) = text.split_once('.')?;
    let second: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((first.parse().ok()?, second.parse().ok()?))
}

#[cfg(test)]
#[path = "profile/tests.rs"]
mod tests;
