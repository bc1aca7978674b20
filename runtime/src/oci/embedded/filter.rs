//! The container's filter of system calls, compiled for the kernel once per filter.
//!
//! libcontainer compiles it in the container's process, after everything else and again for each
//! program that is run later: 9 ms each time on a fast machine, for a health command every few
//! seconds. Here a process of its own compiles it while the container is made, and keeps the result
//! beside the runs for all containers with the same filter. A container that asks for a filter must
//! not run without a complete one.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libseccomp::error::SeccompError;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
    ScmpVersion,
};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, Spec,
};

use sha2::{Digest as _, Sha256};

use crate::refusal::StartError;

/// Compiled filters, in the folder of all runs: `sha256(program) program`, named by their source.
const FOLDER: &str = "filters";
/// Filters that are kept; when a further one comes, all are deleted, and compiled again when
/// needed. There is one for each set of capabilities that services ask for.
const KEPT_MAX: usize = 64;
/// Must be raised with every change of the result of [`compile`].
const FORM: &str = "2";
/// `BPF_MAXINSNS`: the kernel accepts no longer program.
const STEPS_MAX: usize = 4096;
/// Bytes of one instruction.
const STEP_BYTES: usize = size_of::<libc::sock_filter>();
/// Bytes of a checksum.
const SUM_BYTES: usize = 32;

type Steps = Rc<[libc::sock_filter]>;

/// A filter, or the pipe from which it can be read once it is compiled.
#[derive(Debug, Clone)]
pub enum Compiled {
    /// It is compiled.
    Ready(Steps),
    /// A child writes it to this pipe.
    Coming(Rc<File>, Pid),
}

impl Compiled {
    /// The filter for the container of a run. If it is not compiled yet, a child compiles it. For a
    /// process with one thread.
    pub fn of(run_dir: &Path, spec: &Spec) -> Result<Option<Compiled>, StartError> {
        let linux = spec.linux().as_ref();
        let Some(seccomp) = linux.and_then(|linux| linux.seccomp().as_ref()) else {
            return Ok(None);
        };
        let path = place(run_dir, seccomp);
        if let Some(steps) = fs::read(&path).ok().and_then(|kept| whole(&kept)) {
            return Ok(Some(Compiled::Ready(steps)));
        }
        let step = |errno| StartError::Step { step: "make a pipe", errno };
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(step)?;
        // SAFETY: promised by the caller.
        match unsafe { fork() }.map_err(StartError::Fork)? {
            ForkResult::Parent { child } => {
                Ok(Some(Compiled::Coming(Rc::new(File::from(read)), child)))
            }
            ForkResult::Child => {
                let _ = prctl::set_pdeathsig(Signal::SIGKILL);
                match compile(seccomp) {
                    Ok(bytes) => {
                        // A filter that cannot be kept is compiled again.
                        let _ = keep(&path, &bytes);
                        // A parent that is gone needs no filter.
                        let _ = File::from(write).write_all(&bytes);
                    }
                    Err(why) => tracing::error!("the filter of system calls: {why}"),
                }
                // SAFETY: it runs nothing of its parent's.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// Reaps the child, so that it does not count as a process of the container.
    pub fn collect(&self) {
        if let Compiled::Coming(_, child) = self {
            let _ = waitpid(*child, None);
        }
    }

    /// Waits for the filter, and sets it for this process and every process that it starts.
    pub fn enforce(&self) -> nix::Result<()> {
        let steps = match self {
            Compiled::Ready(steps) => steps.clone(),
            Compiled::Coming(pipe, _) => {
                let mut bytes = Vec::new();
                let read = (&**pipe).read_to_end(&mut bytes);
                read.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
                parse(&bytes).ok_or(Errno::ENODATA)?
            }
        };
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

/// Another version of this program or of libseccomp may give another result for the same filter.
fn place(run_dir: &Path, seccomp: &LinuxSeccomp) -> PathBuf {
    let text = serde_json::to_vec(seccomp).expect("it has a form in JSON");
    let mut sum = Sha256::new();
    let library = ScmpVersion::current().map(|v| format!("{}.{}.{}", v.major, v.minor, v.micro));
    let version = [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, FORM];
    sum.update(version.join(" "));
    sum.update(library.unwrap_or_default());
    sum.update(text);
    let name: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    run_dir.parent().unwrap_or(run_dir).join(FOLDER).join(name)
}

fn keep(path: &Path, program: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    if fs::read_dir(folder).is_ok_and(|kept| kept.count() >= KEPT_MAX) {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let new = path.with_extension(std::process::id().to_string());
    let written = fs::write(&new, [&Sha256::digest(program)[..], program].concat());
    written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

/// The kept program; `None` if a power cut left it incomplete.
fn whole(kept: &[u8]) -> Option<Steps> {
    let (sum, program) = kept.split_at_checked(SUM_BYTES)?;
    if Sha256::digest(program)[..] == *sum { parse(program) } else { None }
}

/// `None`: the bytes are no program, or an incomplete one.
fn parse(bytes: &[u8]) -> Option<Steps> {
    let (steps, rest) = bytes.as_chunks::<STEP_BYTES>();
    let legal = !steps.is_empty() && steps.len() <= STEPS_MAX && rest.is_empty();
    let step = |bytes: &[u8; STEP_BYTES]| libc::sock_filter {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    legal.then(|| steps.iter().map(step).collect())
}

/// The error is a text, because libseccomp and the memory file have one error type each.
type Compiling<T> = Result<T, String>;

pub(crate) fn compile(seccomp: &LinuxSeccomp) -> Compiling<Vec<u8>> {
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
            // A call that this libseccomp does not know stays denied.
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

/// Each action but the one that needs somebody who answers.
fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Compiling<ScmpAction> {
    match action {
        LinuxSeccompAction::ScmpActAllow => Ok(ScmpAction::Allow),
        LinuxSeccompAction::ScmpActErrno => {
            Ok(ScmpAction::Errno(errno.map_or(libc::EPERM, |errno| errno as i32)))
        }
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            Ok(ScmpAction::KillThread)
        }
        LinuxSeccompAction::ScmpActKillProcess => Ok(ScmpAction::KillProcess),
        LinuxSeccompAction::ScmpActTrap => Ok(ScmpAction::Trap),
        LinuxSeccompAction::ScmpActLog => Ok(ScmpAction::Log),
        LinuxSeccompAction::ScmpActTrace => {
            let word = errno.map_or(libc::EPERM as u32, |errno| errno);
            Ok(ScmpAction::Trace(u16::try_from(word).unwrap_or(u16::MAX)))
        }
        other @ LinuxSeccompAction::ScmpActNotify => Err(format!("unknown action {other:?}")),
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
    // In a masked comparison the specification has first the mask, then the expected value.
    let (op, datum) = match condition.op() {
        LinuxSeccompOperator::ScmpCmpEq => (ScmpCompareOp::Equal, condition.value()),
        LinuxSeccompOperator::ScmpCmpLt => (ScmpCompareOp::Less, condition.value()),
        LinuxSeccompOperator::ScmpCmpGt => (ScmpCompareOp::Greater, condition.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => (
            ScmpCompareOp::MaskedEqual(condition.value()),
            condition.value_two().unwrap_or_default(),
        ),
        LinuxSeccompOperator::ScmpCmpNe => (ScmpCompareOp::NotEqual, condition.value()),
        LinuxSeccompOperator::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, condition.value()),
        LinuxSeccompOperator::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, condition.value()),
    };
    Ok(ScmpArgCompare::new(condition.index() as u32, op, datum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(program: &[u8]) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(FOLDER).join("a");
        keep(&path, program).expect("kept");
        fs::read(path).expect("there")
    }

    #[test]
    fn a_filter_that_was_cut_or_changed_is_no_filter() {
        let mut kept = kept(&[6, 0, 0, 0, 0, 0, 255, 127]);
        assert_eq!(whole(&kept).map(|steps| steps.len()), Some(1));
        for length in 0..kept.len() {
            assert!(whole(&kept[..length]).is_none(), "{length}");
        }
        kept[SUM_BYTES + 7] ^= 1;
        assert!(whole(&kept).is_none());
    }

    #[test]
    fn what_is_no_program_is_not_run() {
        assert!(parse(&[]).is_none());
        assert!(parse(&[0; 12]).is_none());
        assert!(parse(&vec![0; (STEPS_MAX + 1) * STEP_BYTES]).is_none());
    }

    #[test]
    fn filters_that_are_too_many_are_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join(FOLDER);
        for number in 0..=KEPT_MAX {
            keep(&folder.join(number.to_string()), &[0; 8]).expect("kept");
        }
        assert_eq!(fs::read_dir(folder).expect("there").count(), 1);
    }
}
