//! The OCI runtime in this program: libcontainer, and our own last step before the program starts.
//!
//! libcontainer forks and never unshares memory with its caller, so it only ever runs in a helper
//! process with one thread. Its errors name a step, not a cause; the cause is in its log, which is
//! collected in `complaints`.

mod complaints;
pub(crate) mod filter;
mod init;
mod program;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Pid, pipe2};
use oci_spec::runtime::{Capability, LinuxCapabilities, Mount, Process, Spec};

use super::backend::{Backend, Bundle, STATE, Stdio, write_config};
use super::bundle::{BundleError, is_bind};
use super::explain;
use super::rootfs::COPIES;
use crate::cgroup::{CgroupVersion, Hierarchy, mounts};
use crate::refusal::StartError;
use complaints::Complaints;
use filter::Compiled;
use program::{Failure, Filter, First, Program};

/// Where a container's cgroups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// A shorter end of a sentence, such as `not found`, does not identify an error.
const CAUSE_BYTES_MIN: usize = 12;
/// Where libcontainer's report of its own cleanup begins in an error.
const CLEANUP: &str = ". error during cleanup:";
/// Another message of that cleanup.
const CLEANUP_COMPLAINT: &str = "failed to remove cgroup manager";

/// libcontainer.
#[derive(Debug, Default)]
pub struct Embedded {
    /// The filter of a container that is being made.
    filter: Option<Compiled>,
    /// Reports why the program could not be executed; its end of file means that it was executed.
    report: Option<File>,
    complaints: Complaints,
}

impl Embedded {
    fn explain(&self, error: &LibcontainerError) -> StartError {
        // The monitor cleans up what libcontainer could not.
        let mut reason = error.to_string();
        if let Some(end) = reason.find(CLEANUP) {
            reason.truncate(end);
        }
        let mut cause = std::error::Error::source(error);
        while let Some(deeper) = cause {
            let words = deeper.to_string();
            if !reason.contains(&words) {
                reason = format!("{reason}: {words}");
            }
            cause = deeper.source();
        }
        let complaints = self.complaints.take();
        let complaints = complaints.iter().filter(|words| !words.contains(CLEANUP_COMPLAINT));
        complaints.for_each(|words| add_complaint(&mut reason, words));
        StartError::Runtime { runtime: "embedded".to_owned(), reason }
    }

    /// The filter of system calls for a process of the container.
    fn filter(
        &mut self,
        bundle: &Bundle<'_>,
        process: &Process,
    ) -> Result<Option<Filter>, StartError> {
        self.complaints.begin();
        self.filter = Compiled::of(bundle.dir, bundle.spec)?;
        let capabilities = process.capabilities().clone().unwrap_or_default();
        Ok(self.filter.clone().map(|program| Filter { program, capabilities }))
    }

    /// A builder whose program reports on a new pipe.
    fn builder(
        &mut self,
        bundle: &Bundle<'_>,
        stdio: Stdio<'_>,
        program: impl FnOnce(OwnedFd) -> Program,
    ) -> Result<ContainerBuilder, StartError> {
        self.complaints.begin();
        let step = |errno| StartError::Step { step: "make a pipe", errno };
        let (report, reporter) = pipe2(OFlag::O_CLOEXEC).map_err(step)?;
        self.report = Some(File::from(report));
        let mut builder = ContainerBuilder::new(bundle.id.to_owned(), SyscallType::Linux)
            .with_root_path(bundle.dir.join(STATE))
            .map_err(|error| self.explain(&error))?
            .with_executor(program(reporter));
        match stdio.console {
            Some(console) => builder = builder.with_console_socket(Some(console)),
            None => {
                let [stdin, stdout, stderr] = stdio.streams;
                let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned();
                let broken = |error: std::io::Error| step(raw(&error));
                builder = builder
                    .with_stdin(copy(stdin).map_err(broken)?)
                    .with_stdout(copy(stdout).map_err(broken)?)
                    .with_stderr(copy(stderr).map_err(broken)?);
            }
        }
        Ok(builder)
    }

    /// Returns when the program runs, or why it does not run.
    fn await_program(&mut self, process: Option<&Process>) -> Result<(), StartError> {
        let mut message = Vec::new();
        if let Some(mut report) = self.report.take() {
            // A broken pipe means the same as a closed one.
            let _ = report.read_to_end(&mut message);
        }
        if let Some(filter) = self.filter.take() {
            filter.collect();
        }
        match Failure::decode(&message) {
            None => Ok(()),
            Some(Failure::Filter(Errno::ENODATA)) => Err(StartError::Runtime {
                runtime: "embedded".to_owned(),
                reason: format!("no filter of system calls: {}", self.complaints.take().join("; ")),
            }),
            Some(failure) => Err(failure_of(failure, process)),
        }
    }

    /// What the program reported before libcontainer gave up on it.
    fn reported(&mut self, process: &Process) -> Option<StartError> {
        let mut report = self.report.take()?;
        fcntl(&report, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok()?;
        let mut message = [0; 2];
        report.read_exact(&mut message).ok()?;
        Failure::decode(&message).map(|failure| failure_of(failure, Some(process)))
    }
}

/// Each layer of the library reports one error again, in a longer or a shorter sentence with the
/// same end: only the longest is kept.
fn add_complaint(reason: &mut String, words: &str) {
    let end = |text: &str| text.rsplit(": ").next().unwrap_or_default().to_owned();
    if reason.contains(words) {
        return;
    }
    if words.contains(reason.as_str()) {
        words.clone_into(reason);
    } else if end(words).len() < CAUSE_BYTES_MIN || !reason.contains(&end(words)) {
        *reason = format!("{reason}; {words}");
    }
}

/// A failure as an error for people.
fn failure_of(failure: Failure, process: Option<&Process>) -> StartError {
    let args = process.and_then(|process| process.args().as_ref());
    let program = args.and_then(|args| args.first()).cloned().unwrap_or_default();
    match failure {
        Failure::NotFound => {
            let path = process.map(explain::search_path).unwrap_or_default();
            BundleError::NoProgram { program, path }.into()
        }
        Failure::Exec(errno) => StartError::Exec { program, errno },
        Failure::Filter(errno) => {
            StartError::Step { step: "filter the container's system calls", errno }
        }
        Failure::Fork(errno) => StartError::Fork(errno),
    }
}

impl Backend for Embedded {
    fn create(&mut self, bundle: &Bundle<'_>, stdio: Stdio<'_>) -> Result<Pid, StartError> {
        let first = if bundle.init { First::Init } else { First::Program };
        let process = bundle.spec.process().clone().unwrap_or_default();
        let filter = self.filter(bundle, &process)?;
        let mut told = told(bundle.spec, filter.as_ref().map(|_| process));
        keep_to_itself(&mut told, bundle.dir).map_err(|errno| StartError::Step {
            step: "keep the node's later mounts out of the container",
            errno,
        })?;
        write_config(bundle.dir, &told)?;
        let program = move |report| Program::new(report, first, filter);
        let builder = self.builder(bundle, stdio, program)?;
        let built = builder.as_init(bundle.dir).with_systemd(false).with_detach(true).build();
        // Programs that are run later need the full description again.
        write_config(bundle.dir, bundle.spec)?;
        let container = built.map_err(|error| self.explain(&error))?;
        let pid = container.pid().map(|pid| Pid::from_raw(pid.as_raw()));
        pid.ok_or_else(|| StartError::Runtime {
            runtime: "embedded".to_owned(),
            reason: "the container ended before its program ran".to_owned(),
        })
    }

    fn start(&mut self, bundle: &Bundle<'_>) -> Result<(), StartError> {
        let state = bundle.dir.join(STATE).join(bundle.id);
        let started = Container::load(state).and_then(|mut container| container.start());
        started.map_err(|error| self.explain(&error))?;
        self.await_program(bundle.spec.process().as_ref())
    }

    fn exec(
        &mut self,
        bundle: &Bundle<'_>,
        process: &Process,
        stdio: Stdio<'_>,
    ) -> Result<Pid, StartError> {
        let filter = self.filter(bundle, process)?;
        let told = match &filter {
            Some(_) => able_to_filter(process.clone()),
            None => process.clone(),
        };
        let file = told_file(&told)?;
        state_in_memory(bundle)?;
        let entrances = entrances(bundle);
        let program = |report| Program::new(report, First::Program, filter).entering(entrances);
        let built = self
            .builder(bundle, stdio, program)?
            .as_tenant()
            .with_process(Some(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))))
            .with_detach(stdio.console.is_some())
            .build();
        let pid = built
            .map_err(|error| self.reported(process).unwrap_or_else(|| self.explain(&error)))?;
        self.await_program(Some(process))?;
        Ok(Pid::from_raw(pid.as_raw()))
    }
}

/// libcontainer mounts groups of version 1 writable, whatever is asked for: a container could
/// remove its own limits.
fn is_cgroup_for_reading(mount: &Mount) -> bool {
    let reads = |option: &String| option == "ro";
    mount.typ().as_deref() == Some("cgroup") && mount.options().iter().flatten().any(reads)
}

/// Where libcontainer mounts them, the lower ones before the one above.
fn cgroup_mounts() -> Vec<String> {
    let separate = mounts::detect().into_iter().filter(|found| found.version == CgroupVersion::V1);
    let name = |found: Hierarchy| Some(found.root.file_name()?.to_string_lossy().into_owned());
    let below = separate.filter_map(name).map(|name| format!("{CGROUPS}/{name}"));
    below.chain([CGROUPS.to_owned()]).collect()
}

/// libcontainer ignores the propagation of a single mount: a bind mount follows the node for ever.
/// It copies mounts as they are, so those that must not follow are made private before, for this
/// process alone: all of them, or, if another mount must follow, copies of those that must not.
fn keep_to_itself(told: &mut Spec, run_dir: &Path) -> nix::Result<()> {
    let none = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let propagation = told.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_ref());
    if propagation.is_none() {
        return mount(none, "/", none, private, none);
    }
    let mut mounts = told.mounts().clone().unwrap_or_default();
    for (number, asked) in mounts.iter_mut().enumerate().filter(|(_, asked)| is_bind(asked)) {
        let follows = |option: &String| option.ends_with("slave") || option.ends_with("shared");
        let Some(source) = asked.source().clone() else { continue };
        if asked.options().iter().flatten().any(follows) {
            continue;
        }
        let copy = run_dir.join(COPIES).join(number.to_string());
        let made = match source.is_dir() {
            true => fs::create_dir_all(&copy),
            false => fs::create_dir_all(run_dir.join(COPIES)).and_then(|()| fs::write(&copy, "")),
        };
        made.map_err(|error| raw(&error))?;
        mount(Some(&source), &copy, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
        mount(none, &copy, none, private, none)?;
        asked.set_source(Some(copy));
    }
    told.set_mounts(Some(mounts));
    Ok(())
}

/// The container as it is described to libcontainer: without the filter of system calls, which is
/// ours to set, and with a process that is permitted to set it.
fn told(spec: &Spec, filtered: Option<Process>) -> Spec {
    let mut told = spec.clone();
    if let Some(linux) = told.linux_mut() {
        // libcontainer knows only the specification's words, and means by them what others call
        // `rslave`.
        let propagation = linux.rootfs_propagation().as_deref();
        let propagation = propagation.map(|word| word.trim_start_matches('r').to_owned());
        linux.set_rootfs_propagation(propagation);
        if spec.mounts().iter().flatten().any(is_cgroup_for_reading) {
            let mut paths = linux.readonly_paths().clone().unwrap_or_default();
            paths.extend(cgroup_mounts());
            linux.set_readonly_paths(Some(paths));
        }
        if filtered.is_some() {
            linux.set_seccomp(None);
        }
    }
    if let Some(process) = filtered {
        told.set_process(Some(able_to_filter(process)));
    }
    told
}

/// The filter is set as the last step before the program; a process must still be permitted to set
/// it then.
fn able_to_filter(mut process: Process) -> Process {
    let with = |set: &Option<HashSet<Capability>>| {
        let mut set = set.clone().unwrap_or_default();
        set.insert(Capability::SysAdmin);
        Some(set)
    };
    let mut capabilities: LinuxCapabilities = process.capabilities().clone().unwrap_or_default();
    let (effective, permitted) = (with(capabilities.effective()), with(capabilities.permitted()));
    capabilities.set_effective(effective).set_permitted(permitted).set_ambient(None);
    process.set_capabilities(Some(capabilities));
    process
}

/// libcontainer leaves a socket beside its state for each program that it runs later, and a health
/// command is run for months. So a memory file system with a copy of the state is mounted over the
/// state, seen by this process alone: nothing stays behind, and nothing is written to the disk.
fn state_in_memory(bundle: &Bundle<'_>) -> Result<(), StartError> {
    const STATE_FILE: &str = "state.json";
    let root = bundle.dir.join(STATE);
    let broken =
        |source| StartError::RunDir { path: root.join(bundle.id).display().to_string(), source };
    let state = fs::read(root.join(bundle.id).join(STATE_FILE)).map_err(broken)?;
    let (kind, options) = (Some("tmpfs"), Some("size=256k,mode=700"));
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(kind, &root, kind, flags, options)
        .map_err(|errno| StartError::Step { step: "mount memory", errno })?;
    let copied = fs::create_dir(root.join(bundle.id))
        .and_then(|()| fs::write(root.join(bundle.id).join(STATE_FILE), state));
    copied.map_err(broken)
}

/// The cgroup files for groups of the container that libcontainer does not join: those of version 2
/// on a machine that also has version 1, and of hierarchies without a controller.
fn entrances(bundle: &Bundle<'_>) -> Vec<File> {
    let path = bundle.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
    let path = path.unwrap_or_default();
    let Ok(path) = path.strip_prefix("/") else { return Vec::new() };
    let entrance = |found: Hierarchy| {
        let name = match found.version {
            CgroupVersion::V1 => "tasks",
            CgroupVersion::V2 => "cgroup.procs",
        };
        File::options().write(true).open(found.root.join(path).join(name)).ok()
    };
    mounts::detect().into_iter().filter_map(entrance).collect()
}

/// The process as a file, because libcontainer takes it as a file.
fn told_file(process: &Process) -> Result<File, StartError> {
    let step = |errno| StartError::Step { step: "describe the program", errno };
    let file = memfd_create(c"process", MFdFlags::MFD_CLOEXEC).map_err(step)?;
    let file = File::from(file);
    serde_json::to_writer(&file, process).map_err(|_| step(Errno::EINVAL))?;
    Ok(file)
}

fn raw(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_is_told_once_however_many_layers_complain_of_it() {
        let cause = "No such file or directory (os error 2)";
        let mut reason = format!("failed to create the container: no cgroup mount: {cause}");
        for words in [
            format!("no cgroup mount: {cause}"),
            format!("failed to set up cgroups err=io: {cause}"),
            "the device filter was not attached".to_owned(),
        ] {
            add_complaint(&mut reason, &words);
        }
        assert_eq!(
            reason,
            format!(
                "failed to create the container: no cgroup mount: {cause}; \
                 the device filter was not attached"
            )
        );
    }
}
