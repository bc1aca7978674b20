//! Keeping a container from the node's devices where cgroups are of version 2.
//!
//! Version 1 has files for that. Version 2 needs a BPF program, attached to the group, which the
//! kernel runs whenever a device is opened or made. libcontainer would need a C library to write
//! one, and without it allows everything: root in a container could make a node for the disk and
//! read it. The program here is a list of comparisons, the latest rule first; a request that no
//! rule allows is denied.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

/// What every runtime allows in addition, because a container could not have terminals otherwise:
/// making nodes, `full`, `console`, `ptmx`, and the devices in `/dev/pts`.
const ALWAYS: [(u32, Option<i32>, Option<i32>, u32); 6] = [
    (BLOCK, None, None, MAKE),
    (CHAR, None, None, MAKE),
    (CHAR, Some(1), Some(7), MAKE | READ | WRITE),
    (CHAR, Some(5), Some(1), MAKE | READ | WRITE),
    (CHAR, Some(5), Some(2), MAKE | READ | WRITE),
    (CHAR, Some(136), None, MAKE | READ | WRITE),
];

const BLOCK: u32 = 1;
const CHAR: u32 = 2;
const MAKE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// One instruction: the kernel's `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// Target in the lower half, source in the upper.
    registers: u8,
    offset: i16,
    value: i32,
}

/// The part of the kernel's `union bpf_attr` that loading needs.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    length: u32,
    program: u64,
    license: u64,
    log: [u32; 4],
    version: u32,
    flags: u32,
}

#[repr(C)]
struct Attach {
    group: u32,
    program: u32,
    place: u32,
    flags: u32,
}

const fn op(code: u8, target: u8, source: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, registers: target | source << 4, offset, value }
}

const LOAD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const COPY: u8 = 0xbc;
const SET: u8 = 0xb7;
const UNLESS_VALUE: u8 = 0x55;
const UNLESS_REGISTER: u8 = 0x5d;
const IF_VALUE: u8 = 0x15;
const EXIT: u8 = 0x95;

/// Registers: the kind of device, the requested access, and the device numbers.
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

struct Rule {
    allow: bool,
    kind: Option<u32>,
    major: Option<i32>,
    minor: Option<i32>,
    access: u32,
}

/// Denies the members of a group all devices but those that the rules allow; a later rule wins over
/// an earlier one.
pub fn confine(group: &Path, rules: &[LinuxDeviceCgroup]) -> nix::Result<()> {
    let group = File::open(group)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let program = load(&program(rules))?;
    let attach = Attach {
        group: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        place: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &attach).map(drop)
}

/// Do the rules allow everything, as those of a privileged container?
pub fn allow_all(rules: &[LinuxDeviceCgroup]) -> bool {
    rules.last().map(of_spec).is_some_and(|rule| {
        let all = MAKE | READ | WRITE;
        rule.allow && rule.kind.is_none() && rule.major.is_none() && rule.access == all
    })
}

fn load(program: &[Instruction]) -> nix::Result<OwnedFd> {
    // Kernels before 5.11 count the program as locked memory.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let load = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        length: program.len() as u32,
        program: program.as_ptr() as u64,
        license: c"Apache".as_ptr() as u64,
        ..Load::default()
    };
    let fd = bpf(PROG_LOAD, &load)?;
    // SAFETY: it was just made and is owned by nothing else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> nix::Result<i32> {
    // SAFETY: the attributes are valid for their size, and what they point to outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes as *const T, size_of::<T>()) };
    Errno::result(result).map(|fd| fd as i32)
}

fn program(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    let always = ALWAYS.iter().map(|(kind, major, minor, access)| Rule {
        allow: true,
        kind: Some(*kind),
        major: *major,
        minor: *minor,
        access: *access,
    });
    // A container's rules begin with a denial of everything: the always allowed devices come after
    // it.
    let (first, rest) = rules.split_at(rules.len().min(1));
    let rules: Vec<Rule> =
        first.iter().map(of_spec).chain(always).chain(rest.iter().map(of_spec)).collect();
    let mut program = vec![
        op(LOAD, KIND, 1, 0, 0),
        op(AND, KIND, 0, 0, 0xffff),
        op(LOAD, ACCESS, 1, 0, 0),
        op(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        op(LOAD, MAJOR, 1, 4, 0),
        op(LOAD, MINOR, 1, 8, 0),
    ];
    rules.iter().rev().for_each(|rule| rule.append_to(&mut program));
    program.extend([op(SET, 0, 0, 0, 0), op(EXIT, 0, 0, 0, 0)]);
    program
}

impl Rule {
    /// Every comparison that fails jumps to the end of the rule.
    fn append_to(&self, program: &mut Vec<Instruction>) {
        let mut steps = Vec::new();
        if let Some(kind) = self.kind {
            steps.push(op(UNLESS_VALUE, KIND, 0, 0, kind as i32));
        }
        steps.extend([op(COPY, 1, ACCESS, 0, 0), op(AND, 1, 0, 0, self.access as i32)]);
        // A rule allows a request that asks for nothing beyond it, and denies one that asks for any
        // of it.
        steps.push(match self.allow {
            true => op(UNLESS_REGISTER, 1, ACCESS, 0, 0),
            false => op(IF_VALUE, 1, 0, 0, 0),
        });
        for (register, number) in [(MAJOR, self.major), (MINOR, self.minor)] {
            steps.extend(number.map(|number| op(UNLESS_VALUE, register, 0, 0, number)));
        }
        steps.extend([op(SET, 0, 0, 0, i32::from(self.allow)), op(EXIT, 0, 0, 0, 0)]);
        let length = steps.len();
        for (at, step) in steps.iter_mut().enumerate() {
            if matches!(step.code, UNLESS_VALUE | UNLESS_REGISTER | IF_VALUE) {
                step.offset = i16::try_from(length - at - 1).expect("a rule has nine steps");
            }
        }
        program.extend(steps);
    }
}

fn of_spec(rule: &LinuxDeviceCgroup) -> Rule {
    let number =
        |number: Option<i64>| number.and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= 0);
    let letters = rule.access().as_deref().unwrap_or("rwm");
    let access = letters.chars().map(|letter| match letter {
        'm' => MAKE,
        'r' => READ,
        'w' => WRITE,
        _ => 0,
    });
    Rule {
        allow: rule.allow(),
        kind: match rule.typ() {
            Some(LinuxDeviceType::B) => Some(BLOCK),
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(CHAR),
            _ => None,
        },
        major: number(rule.major()),
        minor: number(rule.minor()),
        access: access.fold(0, |all, one| all | one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{CgroupVersion, mounts};
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    /// A group of version 2, removed whatever happens.
    struct Group(PathBuf);

    impl Drop for Group {
        fn drop(&mut self) {
            for _ in 0..100 {
                if fs::remove_dir(&self.0).is_ok() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }

    #[test]
    fn only_what_the_rules_allow_can_be_opened() {
        let unified = mounts::detect().into_iter().find(|found| found.version == CgroupVersion::V2);
        let Some(unified) = unified.filter(|_| nix::unistd::geteuid().is_root()) else {
            eprintln!("SKIPPED without root or version 2 of cgroups: devices");
            return;
        };
        let group = Group(unified.root.join(format!("edgectl-devices-{}", std::process::id())));
        fs::create_dir(&group.0).expect("root may");
        let rule = |allow: bool, major: i64, minor: i64, access: &str| {
            let rule = LinuxDeviceCgroupBuilder::default().allow(allow).access(access);
            let rule = rule.typ(LinuxDeviceType::C).major(major).minor(minor);
            rule.build().expect("every field has a default")
        };
        let deny = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build();
        let deny = deny.expect("every field has a default");
        let rules =
            [deny, rule(true, 1, 3, "rwm"), rule(true, 1, 5, "rwm"), rule(false, 1, 5, "w")];
        assert!(!allow_all(&rules));
        confine(&group.0, &rules).expect("the kernel takes the program");
        let line = format!(
            "echo 0 > {}/cgroup.procs; true < /dev/null && echo null; true > /dev/null && echo write; \
             true < /dev/zero && echo zero; true > /dev/zero && echo wrong; \
             true < /dev/urandom && echo wrong; true < /dev/ptmx && echo ptmx; true",
            group.0.display()
        );
        let told = Command::new("sh").args(["-c", &line]).output().expect("there is a shell");
        assert_eq!(String::from_utf8_lossy(&told.stdout), "null\nwrite\nzero\nptmx\n");
    }
}
