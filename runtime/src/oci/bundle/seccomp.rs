//! The filter of system calls that users of Docker expect: a list of allowed calls; every other
//! call fails with EPERM.
//!
//! Which calls are allowed is a matter of fact, taken from the default profile that Docker
//! documents (docs.docker.com/engine/security/seccomp, as of Docker 28: without `io_uring_*`) and
//! the kernel's man pages; [`table`] lists them by purpose. Some depend on the container's
//! capabilities, some on their arguments, some on the processor. Runtimes skip a call that the
//! kernel or libseccomp does not know yet, so that it is denied. A filter of an operator's own:
//! [`profile`].

pub mod profile;
pub(crate) mod table;

use libseccomp::ScmpSyscall;
use nix::errno::Errno;
use nix::libc;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

use super::capabilities::Allowed;

/// Every flag of `clone` that makes a namespace.
const NEW_NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u64;

/// The execution domains that may be chosen: Linux, `UNAME26`, `PER_LINUX32`, both, and "which".
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Sockets of these two families may not be made: the kernel's cryptography is much code that
/// hardly any program needs, and a container should not reach the host of a virtual machine.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// Does the libseccomp of this program know the call?
pub fn knows(name: &str) -> bool {
    ScmpSyscall::from_name(name).is_ok()
}

/// The filter for a container with these capabilities on this processor.
pub fn filter(capabilities: &Allowed) -> LinuxSeccomp {
    use LinuxSeccompOperator::{ScmpCmpEq, ScmpCmpGt, ScmpCmpLt, ScmpCmpMaskedEq};
    let mut calls: Vec<LinuxSyscall> =
        table::ALWAYS.iter().map(|group| allow(group, None)).collect();
    let socket = [(ScmpCmpLt, AF_ALG), (ScmpCmpEq, AF_ALG + 1), (ScmpCmpGt, AF_VSOCK)];
    calls.extend(socket.map(|(op, family)| allow("socket", Some(first(op, family, None)))));
    let equal = |domain| allow("personality", Some(first(ScmpCmpEq, domain, None)));
    calls.extend(PERSONALITIES.map(equal));
    calls.extend(own_architecture().1.iter().map(|group| allow(group, None)));
    for (capability, group) in table::WITH_CAPABILITY {
        calls.extend(capabilities.has(capability).then(|| allow(group, None)));
    }
    if !capabilities.has("SYS_ADMIN") {
        let no_namespaces = first(ScmpCmpMaskedEq, NEW_NAMESPACES, Some(0));
        calls.push(allow("clone", Some(no_namespaces)));
        // The flags of `clone3` are behind a pointer, which a filter cannot follow. C libraries
        // that get ENOSYS for it use `clone` instead.
        calls.push(answer("clone3", Errno::ENOSYS));
    }
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(Errno::EPERM as u32)
        .architectures(own_architecture().0)
        .syscalls(calls)
        .build()
        .expect("every field has a default")
}

/// This processor's architecture with older ones whose programs it can run, and the calls that
/// exist only on it.
fn own_architecture() -> (Vec<Arch>, Option<&'static str>) {
    if cfg!(target_arch = "x86_64") {
        let older = vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32];
        (older, Some(table::X86))
    } else if cfg!(target_arch = "aarch64") {
        (vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm], Some(table::ARM))
    } else if cfg!(target_arch = "arm") {
        (vec![Arch::ScmpArchArm], Some(table::ARM))
    } else {
        (vec![Arch::ScmpArchNative], None)
    }
}

fn allow(names: &str, argument: Option<LinuxSeccompArg>) -> LinuxSyscall {
    let mut call = rule(names, LinuxSeccompAction::ScmpActAllow);
    call.set_args(argument.map(|argument| vec![argument]));
    call
}

fn answer(names: &str, errno: Errno) -> LinuxSyscall {
    let mut call = rule(names, LinuxSeccompAction::ScmpActErrno);
    call.set_errno_ret(Some(errno as u32));
    call
}

fn rule(names: &str, action: LinuxSeccompAction) -> LinuxSyscall {
    let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    let call = LinuxSyscallBuilder::default().names(names).action(action);
    call.build().expect("every field has a default")
}

/// A condition on the first argument. For a masked comparison `value` is the mask.
fn first(op: LinuxSeccompOperator, value: u64, value_two: Option<u64>) -> LinuxSeccompArg {
    let mut condition = LinuxSeccompArgBuilder::default().index(0_usize).value(value).op(op);
    if let Some(value_two) = value_two {
        condition = condition.value_two(value_two);
    }
    condition.build().expect("every field has a default")
}

#[cfg(test)]
mod tests {
    use super::super::capabilities::allowed;
    use super::super::tests::machine;
    use super::*;
    use crdt_state::spec::Container;
    use std::collections::BTreeSet;

    fn with(capabilities: &[&str]) -> LinuxSeccomp {
        let cap_add = capabilities.iter().map(|name| (*name).to_owned()).collect();
        let container = Container { cap_add, ..Container::default() };
        filter(&allowed(&container, &machine()).expect("known names"))
    }

    fn rules<'a>(filter: &'a LinuxSeccomp, name: &str) -> Vec<&'a LinuxSyscall> {
        let calls = filter.syscalls().as_deref().unwrap_or_default();
        calls.iter().filter(|call| call.names().iter().any(|known| known == name)).collect()
    }

    #[test]
    fn what_is_not_listed_fails_with_eperm() {
        let filter = with(&[]);
        assert_eq!(filter.default_action(), LinuxSeccompAction::ScmpActErrno);
        assert_eq!(filter.default_errno_ret(), Some(1));
        for name in ["mount", "bpf", "keyctl", "kexec_load", "io_uring_setup", "reboot", "setns"] {
            assert!(rules(&filter, name).is_empty(), "{name}");
        }
        for name in ["read", "execve", "futex", "statx", "openat2", "chroot"] {
            assert_eq!(rules(&filter, name).len(), 1, "{name}");
        }
    }

    #[test]
    fn a_capability_brings_the_calls_that_it_is_for() {
        assert_eq!(rules(&with(&["SYS_ADMIN"]), "mount").len(), 1);
        assert_eq!(rules(&with(&["SYS_BOOT"]), "reboot").len(), 1);
        assert_eq!(rules(&with(&["SYS_TIME"]), "clock_settime").len(), 1);
    }

    #[test]
    fn a_new_namespace_needs_a_capability_and_clone3_looks_unknown() {
        let filter = with(&[]);
        let clone = rules(&filter, "clone");
        let condition = clone[0].args().as_ref().expect("a condition")[0];
        assert_eq!((condition.value(), condition.value_two()), (0x7e02_0000, Some(0)));
        assert_eq!(rules(&filter, "clone3")[0].errno_ret(), Some(Errno::ENOSYS as u32));
        let filter = with(&["SYS_ADMIN"]);
        assert_eq!(rules(&filter, "clone3")[0].action(), LinuxSeccompAction::ScmpActAllow);
        assert!(rules(&filter, "clone").iter().all(|call| call.args().is_none()));
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut seen = BTreeSet::new();
        for group in table::ALWAYS.into_iter().chain([table::X86, table::ARM]) {
            for name in group.split_whitespace() {
                assert!(seen.insert(name), "{name}");
            }
        }
    }
}
