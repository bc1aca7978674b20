//! Which capabilities the programs of a container may have: Docker's fourteen, changed by
//! `--cap-add` and `--cap-drop`.
//!
//! As in Docker a program of root gets them all, and a program of another user gets none: there
//! they only bound what it can gain by executing a file that has capabilities. Nothing is
//! inheritable or ambient.

use std::collections::BTreeSet;

use crdt_state::spec::Container;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};

use super::{BundleError, HostFeatures};

/// All capabilities in the order of their numbers, see capabilities(7).
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Docker's default.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The capabilities of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    names: BTreeSet<&'static str>,
    /// Wanted by default, but this node's agent does not hold them.
    missing: BTreeSet<&'static str>,
}

impl Allowed {
    /// Does it include the capability of this name, given without `CAP_`?
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The capabilities of a process of this user.
    pub fn of_user(&self, uid: u32) -> LinuxCapabilities {
        let all: Capabilities =
            self.names.iter().map(|name| name.parse::<Capability>().expect("it is one")).collect();
        let held = if uid == 0 { all.clone() } else { Capabilities::new() };
        LinuxCapabilitiesBuilder::default()
            .bounding(all)
            .effective(held.clone())
            .permitted(held)
            .inheritable(Capabilities::new())
            .ambient(Capabilities::new())
            .build()
            .expect("every field has a default")
    }

    /// A text that names the missing capabilities.
    pub fn missing_words(&self) -> Option<String> {
        let names: Vec<&str> = self.missing.iter().copied().collect();
        let what = "the agent does not hold these capabilities, the container does without";
        (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
    }
}

/// Applies Docker's rule: an added capability wins over a dropped one, except that `--cap-add ALL`
/// is all but those dropped by name.
pub fn allowed(container: &Container, machine: &HostFeatures) -> Result<Allowed, BundleError> {
    let add = parse(&container.cap_add)?;
    let drop = parse(&container.cap_drop)?;
    let wanted: BTreeSet<&'static str> = if container.privileged {
        ALL.into_iter().collect()
    } else if add.all {
        ALL.into_iter().filter(|name| !drop.names.contains(name)).collect()
    } else {
        let base = DEFAULT.into_iter().filter(|name| !drop.all && !drop.names.contains(name));
        base.chain(add.names.iter().copied()).collect()
    };
    let held = |name: &&'static str| {
        let number = ALL.iter().position(|known| known == name);
        number.is_some_and(|number| machine.capabilities & (1 << number) != 0)
    };
    if let Some(name) = add.names.iter().find(|name| wanted.contains(*name) && !held(name)) {
        return Err(BundleError::CapabilityNotHeld((*name).to_owned()));
    }
    let (names, missing): (BTreeSet<_>, BTreeSet<_>) = wanted.into_iter().partition(held);
    // "All" means all that this kernel has; one that an older kernel does not know is not missing.
    let missing = if container.privileged || add.all { BTreeSet::new() } else { missing };
    Ok(Allowed { names, missing })
}

struct Words {
    all: bool,
    names: BTreeSet<&'static str>,
}

fn parse(words: &[String]) -> Result<Words, BundleError> {
    let mut parsed = Words { all: false, names: BTreeSet::new() };
    for word in words {
        let upper = word.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            parsed.all = true;
            continue;
        }
        let known = ALL.into_iter().find(|known| *known == name);
        parsed.names.insert(known.ok_or_else(|| BundleError::UnknownCapability(word.clone()))?);
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    fn names(add: &[&str], drop: &[&str]) -> Result<Vec<&'static str>, BundleError> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let container =
            Container { cap_add: words(add), cap_drop: words(drop), ..Container::default() };
        Ok(allowed(&container, &machine())?.names.into_iter().collect())
    }

    #[test]
    fn the_default_is_dockers_fourteen() {
        assert_eq!(names(&[], &[]).expect("no words"), DEFAULT);
    }

    #[test]
    fn names_are_read_with_and_without_prefix_and_in_any_case() {
        let found = names(&["cap_net_admin", "Sys_Time"], &["CAP_CHOWN"]).expect("known");
        assert!(found.contains(&"NET_ADMIN") && found.contains(&"SYS_TIME"));
        assert!(!found.contains(&"CHOWN"));
        assert!(matches!(names(&["NET_ADMN"], &[]), Err(BundleError::UnknownCapability(_))));
    }

    #[test]
    fn all_can_be_added_or_dropped_with_exceptions() {
        assert_eq!(names(&["KILL"], &["ALL"]).expect("known"), ["KILL"]);
        let found = names(&["ALL"], &["SYS_ADMIN"]).expect("known");
        assert_eq!(found.len(), ALL.len() - 1);
        assert!(!found.contains(&"SYS_ADMIN"));
    }

    #[test]
    fn what_is_added_counts_for_more_than_what_is_dropped() {
        assert!(names(&["CHOWN"], &["CHOWN"]).expect("known").contains(&"CHOWN"));
    }

    #[test]
    fn what_the_agent_does_not_hold_is_refused_if_it_was_asked_for_and_missed_otherwise() {
        let machine =
            HostFeatures { capabilities: machine().capabilities & !(1 << 24), ..machine() };
        let asked = |add: &[&str]| {
            let cap_add = add.iter().map(|word| (*word).to_owned()).collect();
            allowed(&Container { cap_add, ..Container::default() }, &machine)
        };
        assert!(matches!(asked(&["SYS_RESOURCE"]), Err(BundleError::CapabilityNotHeld(_))));
        let all = asked(&["ALL"]).expect("all that there are");
        assert_eq!((all.has("SYS_RESOURCE"), all.has("BPF")), (false, true));
        assert_eq!(all.missing_words(), None);
        let poor = HostFeatures { capabilities: 1, ..machine };
        let found = allowed(&Container::default(), &poor).expect("it does without");
        assert!(found.missing_words().expect("thirteen of them").contains("SYS_CHROOT"));
    }

    #[test]
    fn only_root_holds_them_from_the_beginning() {
        let allowed = allowed(&Container::default(), &machine()).expect("the default");
        let sizes = |uid| {
            let of = allowed.of_user(uid);
            let size = |set: &Option<Capabilities>| set.as_ref().map_or(0, Capabilities::len);
            (size(of.bounding()), size(of.effective()), size(of.permitted()), size(of.ambient()))
        };
        assert_eq!(sizes(0), (14, 14, 14, 0));
        assert_eq!(sizes(1000), (14, 0, 0, 0));
    }
}
