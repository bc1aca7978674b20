//! The container's filter of system calls, compiled for the kernel once per run.
//!
//! libcontainer compiles it in the container's process, after everything else and again for each
//! program that is run later: 9 ms each time on a fast machine, of a health command every few
//! seconds. Here a process of its own compiles it while the container is made, and keeps the result
//! in the folder of the run. Who asked for a filter and cannot read a whole one must not go on.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::rc::Rc;

use libseccomp::error::SeccompError;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork, pipe2};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, Spec,
};

use crate::refusal::StartError;

/// The compiled filter, in the folder of the run.
const FILE: &str = "seccomp.bpf";
/// `BPF_MAXINSNS`: the kernel takes no longer program.
const STEPS_MAX: usize = 4096;
/// Bytes of one instruction.
const STEP_BYTES: usize = size_of::<libc::sock_filter>();

/// A filter where it can be read, once it is compiled.
#[derive(Debug, Clone)]
pub struct Compiled(Rc<File>);

impl Compiled {
    /// Has the filter that a container asks for compiled, by a child that also keeps it with the
    /// run. For a process with one thread.
    pub fn begin(run_dir: &Path, spec: &Spec) -> Result<Option<Compiled>, StartError> {
        let Some(seccomp) = asked(spec) else { return Ok(None) };
        let step = |errno| StartError::Step { step: "make a pipe", errno };
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(step)?;
        // SAFETY: promised by the caller.
        match unsafe { fork() }.map_err(StartError::Fork)? {
            ForkResult::Parent { .. } => Ok(Some(Compiled(Rc::new(File::from(read))))),
            ForkResult::Child => {
                let _ = prctl::set_pdeathsig(Signal::SIGKILL);
                match compile(seccomp) {
                    Ok(bytes) => hand_over(&bytes, File::from(write), &run_dir.join(FILE)),
                    Err(why) => tracing::error!("the filter of system calls: {why}"),
                }
                // SAFETY: it runs nothing of its parent's.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// The filter of a container that runs, for a program that joins it.
    pub fn find(run_dir: &Path, spec: &Spec) -> Result<Option<Compiled>, StartError> {
        if asked(spec).is_none() {
            return Ok(None);
        }
        match File::open(run_dir.join(FILE)) {
            Ok(file) => Ok(Some(Compiled(Rc::new(file)))),
            Err(_) => Compiled::begin(run_dir, spec),
        }
    }

    /// From here on this process, and what it starts, is filtered. Waits for the filter.
    pub fn enforce(&self) -> nix::Result<()> {
        let mut bytes = Vec::new();
        let read = (&*self.0).read_to_end(&mut bytes);
        read.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        let steps = parse(&bytes).ok_or(Errno::ENODATA)?;
        let program = libc::sock_fprog {
            len: steps.len() as libc::c_ushort,
            filter: steps.as_ptr().cast_mut(),
        };
        // SAFETY: the program is valid for its length, and the kernel only reads it.
        let set = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
        };
        Errno::result(set).map(drop)
    }
}

fn hand_over(bytes: &[u8], mut pipe: File, path: &Path) {
    // A parent that is gone needs none.
    let _ = pipe.write_all(bytes);
    if fs::write(path, bytes).is_err() {
        // Compiled again when it is needed, rather than half of it be believed.
        let _ = fs::remove_file(path);
    }
}

/// `None`: no program, or not a whole one.
fn parse(bytes: &[u8]) -> Option<Vec<libc::sock_filter>> {
    let (steps, rest) = bytes.as_chunks::<STEP_BYTES>();
    let whole = !steps.is_empty() && steps.len() <= STEPS_MAX && rest.is_empty();
    let step = |bytes: &[u8; STEP_BYTES]| libc::sock_filter {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    whole.then(|| steps.iter().map(step).collect())
}

fn asked(spec: &Spec) -> Option<&LinuxSeccomp> {
    spec.linux().as_ref()?.seccomp().as_ref()
}

/// The words of a failure; libseccomp and the memory file have one type each.
type Compiling<T> = Result<T, String>;

fn compile(seccomp: &LinuxSeccomp) -> Compiling<Vec<u8>> {
    let words = |error: SeccompError| error.to_string();
    let default = action(seccomp.default_action(), seccomp.default_errno_ret())?;
    let mut filter = ScmpFilterContext::new(default).map_err(words)?;
    for arch in seccomp.architectures().iter().flatten() {
        filter.add_arch(architecture(*arch)?).map_err(words)?;
    }
    for rule in seccomp.syscalls().iter().flatten() {
        let action = action(rule.action(), rule.errno_ret())?;
        let conditions: Vec<_> =
            rule.args().iter().flatten().map(condition).collect::<Result<_, _>>()?;
        for name in rule.names() {
            // One that this libseccomp does not know stays denied.
            if let Ok(call) = ScmpSyscall::from_name(name) {
                filter.add_rule_conditional(action, call, &conditions).map_err(words)?;
            }
        }
    }
    export(&filter).map_err(|error| error.to_string())
}

fn export(filter: &ScmpFilterContext) -> io::Result<Vec<u8>> {
    let mut file = File::from(memfd_create(c"seccomp", MFdFlags::MFD_CLOEXEC)?);
    filter.export_bpf(&file).map_err(|error| io::Error::other(error.to_string()))?;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What our own filters are made of; anything else is refused rather than guessed at.
fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Compiling<ScmpAction> {
    match action {
        LinuxSeccompAction::ScmpActAllow => Ok(ScmpAction::Allow),
        LinuxSeccompAction::ScmpActErrno => {
            Ok(ScmpAction::Errno(errno.map_or(libc::EPERM, |errno| errno as i32)))
        }
        other => Err(format!("unknown action {other:?}")),
    }
}

fn architecture(arch: Arch) -> Compiling<ScmpArch> {
    match arch {
        Arch::ScmpArchNative => Ok(ScmpArch::Native),
        Arch::ScmpArchX86_64 => Ok(ScmpArch::X8664),
        Arch::ScmpArchX86 => Ok(ScmpArch::X86),
        Arch::ScmpArchX32 => Ok(ScmpArch::X32),
        Arch::ScmpArchAarch64 => Ok(ScmpArch::Aarch64),
        Arch::ScmpArchArm => Ok(ScmpArch::Arm),
        other => Err(format!("unknown processor {other:?}")),
    }
}

fn condition(condition: &LinuxSeccompArg) -> Compiling<ScmpArgCompare> {
    // In a masked comparison the specification has the mask first, and then what must remain.
    let (op, datum) = match condition.op() {
        LinuxSeccompOperator::ScmpCmpEq => (ScmpCompareOp::Equal, condition.value()),
        LinuxSeccompOperator::ScmpCmpLt => (ScmpCompareOp::Less, condition.value()),
        LinuxSeccompOperator::ScmpCmpGt => (ScmpCompareOp::Greater, condition.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => (
            ScmpCompareOp::MaskedEqual(condition.value()),
            condition.value_two().unwrap_or_default(),
        ),
        other => return Err(format!("unknown comparison {other:?}")),
    };
    Ok(ScmpArgCompare::new(condition.index() as u32, op, datum))
}
