//! OCI runtimes that are programs of the node: `runc`, `crun`, and programs that take runc's
//! arguments.
//!
//! Their own output goes to a log file, never to a pipe. They hand their standard streams to the
//! container, so that reading such a pipe to its end would mean to wait for the container.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio as Stream};

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use oci_spec::runtime::Process;
use serde_json::Value;

use super::backend::{Backend, Bundle, STATE, Stdio};
use super::explain;
use crate::refusal::StartError;

/// In the folder of the run.
const LOG: &str = "oci.log";
/// How much is read from the end of a runtime's log: the last messages are the important ones.
const LOG_BYTES_MAX: usize = 16 * 1024;

/// A runtime by its path.
#[derive(Debug)]
pub struct Command {
    path: PathBuf,
    options: &'static [&'static str],
}

impl Command {
    /// `runc`, or a program that takes its arguments.
    pub fn runc(path: &Path) -> Command {
        Command { path: path.to_owned(), options: &[] }
    }

    /// `crun`.
    pub fn crun(path: &Path) -> Command {
        Command { path: path.to_owned(), options: &["--cgroup-manager=cgroupfs"] }
    }

    fn program(&self, bundle: &Bundle<'_>, verb: &str) -> Program {
        let mut program = Program::new(&self.path);
        // The monitor has no environment; some runtimes look up their tools in the PATH.
        program
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        program.arg("--root").arg(bundle.dir.join(STATE));
        program.arg("--log").arg(bundle.dir.join(LOG)).args(["--log-format", "json"]);
        program.args(self.options).arg(verb).current_dir(bundle.dir);
        program
    }

    fn run(
        &self,
        bundle: &Bundle<'_>,
        process: Option<&Process>,
        mut program: Program,
    ) -> Result<(), StartError> {
        let _ = fs::remove_file(bundle.dir.join(LOG));
        // SAFETY: two system calls.
        unsafe {
            program.pre_exec(|| {
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                Ok(SigSet::empty().thread_set_mask()?)
            });
        }
        let status = program.status().map_err(|source| self.missing(source))?;
        if status.success() {
            return Ok(());
        }
        let reason = complaint(&bundle.dir.join(LOG)).unwrap_or_else(|| status.to_string());
        Err(explain::refined(process, reason, &self.path))
    }

    fn missing(&self, source: io::Error) -> StartError {
        StartError::NoRuntime { path: self.path.display().to_string(), source }
    }
}

impl Backend for Command {
    fn create(&mut self, bundle: &Bundle<'_>, stdio: Stdio<'_>) -> Result<Pid, StartError> {
        let file = bundle.dir.join(STATE).join("pid");
        fs::create_dir_all(bundle.dir.join(STATE)).map_err(|source| broken(&file, source))?;
        let mut program = self.program(bundle, "create");
        program.arg("--bundle").arg(bundle.dir).arg("--pid-file").arg(&file);
        connect(&mut program, stdio)?;
        program.arg(bundle.id);
        self.run(bundle, bundle.spec.process().as_ref(), program)?;
        read_pid(&file)
    }

    fn start(&mut self, bundle: &Bundle<'_>) -> Result<(), StartError> {
        let mut program = self.program(bundle, "start");
        program.stdin(Stream::null()).stdout(Stream::null()).stderr(Stream::null());
        program.arg(bundle.id);
        self.run(bundle, bundle.spec.process().as_ref(), program)
    }

    fn exec(
        &mut self,
        bundle: &Bundle<'_>,
        process: &Process,
        stdio: Stdio<'_>,
    ) -> Result<Pid, StartError> {
        let name = format!("exec-{}", std::process::id());
        let [told, file] = ["json", "pid"].map(|kind| bundle.dir.join(format!("{name}.{kind}")));
        let text = serde_json::to_vec(process).map_err(io::Error::from);
        text.and_then(|text| fs::write(&told, text)).map_err(|source| broken(&told, source))?;
        let mut program = self.program(bundle, "exec");
        program.arg("--detach").arg("--process").arg(&told).arg("--pid-file").arg(&file);
        let ran = connect(&mut program, stdio).and_then(|()| {
            program.arg(bundle.id);
            self.run(bundle, Some(process), program)?;
            read_pid(&file)
        });
        for path in [told, file] {
            let _ = fs::remove_file(path);
        }
        ran
    }
}

fn connect(program: &mut Program, stdio: Stdio<'_>) -> Result<(), StartError> {
    if let Some(console) = stdio.console {
        // The name without its folder: the full path may be longer than the address of a socket can
        // be.
        program.arg("--console-socket").arg(console.file_name().unwrap_or(console.as_os_str()));
        program.stdin(Stream::null()).stdout(Stream::null()).stderr(Stream::null());
        return Ok(());
    }
    let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(Stream::from);
    let broken = |source: io::Error| StartError::Step {
        step: "connect the output",
        errno: nix::errno::Errno::from_raw(source.raw_os_error().unwrap_or(libc::EIO)),
    };
    let [stdin, stdout, stderr] = stdio.streams.map(copy);
    program.stdin(stdin.map_err(broken)?);
    program.stdout(stdout.map_err(broken)?).stderr(stderr.map_err(broken)?);
    Ok(())
}

fn read_pid(file: &Path) -> Result<Pid, StartError> {
    let text = fs::read_to_string(file).map_err(|source| broken(file, source))?;
    let pid = text.trim().parse().map(Pid::from_raw);
    pid.map_err(|_| broken(file, io::Error::from(io::ErrorKind::InvalidData)))
}

fn broken(path: &Path, source: io::Error) -> StartError {
    StartError::RunDir { path: path.display().to_string(), source }
}

/// The last error that the runtime logged.
fn complaint(log: &Path) -> Option<String> {
    let bytes = fs::read(log).ok()?;
    let tail = &bytes[bytes.len().saturating_sub(LOG_BYTES_MAX)..];
    let text = String::from_utf8_lossy(tail);
    let entries = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let message = |entry: Value| Some(entry.get("msg")?.as_str()?.trim().to_owned());
    entries.filter(|entry| entry["level"] == "error").find_map(message)
}
