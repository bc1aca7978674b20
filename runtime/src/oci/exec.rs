//! Further programs in a running container: health commands, and commands of users.
//!
//! For a helper process of our own binary with one thread, which becomes the program's parent and
//! waits for it. Must never be called in the agent.

use std::fs::{self, File};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Pid, Uid, fchown};
use oci_spec::runtime::{BoxBuilder, LinuxCapabilities, Process, Spec};

use super::backend::{Bundle, CONFIG, Stdio};
use super::bundle::{self, BundleError};
use super::console::{Console, Delivery};
use super::{OciRuntime, backend_of, explain, own_users, rootfs};
use crate::refusal::StartError;
use crate::run_dir::{self, Order};

/// A program to run beside the container's own. Values that are not given are the container's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=value`, over the container's.
    pub env: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`, of the container's accounts.
    pub user: Option<String>,
    /// The working directory, absolute.
    pub dir: Option<String>,
    /// On a terminal of its own.
    pub tty: bool,
    /// Rows and columns of that terminal, set before the program starts.
    pub size: Option<(u16, u16)>,
    /// With every capability.
    pub privileged: bool,
}

/// A program that runs.
#[derive(Debug)]
pub struct Executed {
    /// Its process, a child of this one, which leads a session of its own.
    pub pid: Pid,
    /// Our end of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
}

/// Runs a program in the container of a run. `streams` are its standard input, output and error,
/// unless it gets a terminal. Changes this process for good: it becomes a subreaper, and may get a
/// mount namespace of its own.
pub fn exec(
    run_dir: &Path,
    order: &Order,
    program: &ExecSpec,
    streams: [BorrowedFd<'_>; 3],
) -> Result<Executed, StartError> {
    let Some(container) = &order.container else { return Err(StartError::NoContainer) };
    let broken = |source| StartError::RunDir { path: run_dir.display().to_string(), source };
    let dir = run_dir.canonicalize().map_err(broken)?;
    let spec = read_spec(&dir).map_err(broken)?;
    let process = describe(&dir, &spec, program)?;
    let step = |step| move |errno| StartError::Step { step, errno };
    prctl::set_child_subreaper(true).map_err(step("adopt the program"))?;
    // A monitor is protected; programs in its container are not.
    let _ = fs::write("/proc/self/oom_score_adj", "0");
    if container.users.is_some() {
        own_users::before_exec()?;
    } else if !matches!(container.runtime, OciRuntime::Runc(_)) {
        rootfs::isolate()?;
    }
    let null = container.users.map(|_| own_users::null()).transpose()?;
    let streams = own_users::streams(streams, null.as_ref());
    let name = format!("exec-{}.sock", std::process::id());
    let console = program.tty.then(|| Console::listen(&dir, &name)).transpose()?;
    let on_node = |id| own_users::on_node(&spec, id).ok_or(BundleError::OwnUser(id));
    let user = process.user();
    let (uid, gid) = (on_node(user.uid())?, on_node(user.gid())?);
    let deliver = |console| Delivery::expect(console, uid);
    let console = console.map(deliver).transpose().map_err(StartError::Fork)?;
    if !program.tty {
        for stream in streams {
            // A file or another process' terminal stays as it is.
            let _ = own(stream, uid, gid);
        }
    }
    let id = run_dir::name(order.start.run);
    let bundle = Bundle { dir: &dir, id: &id, spec: &spec, init: false };
    let stdio = Stdio { streams, console: console.as_ref().map(Delivery::path) };
    let executed = backend_of(&container.runtime).exec(&bundle, &process, stdio);
    let pid = executed.map_err(|error| explain::reworded(&spec, &process, error))?;
    let terminal = console.map(Delivery::take).transpose()?;
    Ok(Executed { pid, terminal })
}

/// A pipe that was made for the program belongs to its user, who may open `/dev/stdout`.
fn own(stream: BorrowedFd<'_>, uid: u32, gid: u32) -> nix::Result<()> {
    let kind = nix::sys::stat::fstat(stream)?.st_mode & nix::libc::S_IFMT;
    if kind != nix::libc::S_IFIFO {
        return Err(Errno::ENOTSUP);
    }
    fchown(stream, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

fn read_spec(dir: &Path) -> io::Result<Spec> {
    serde_json::from_reader(io::BufReader::new(File::open(dir.join(CONFIG))?)).map_err(Into::into)
}

/// The container's own process, with the differences of this program.
fn describe(dir: &Path, spec: &Spec, program: &ExecSpec) -> Result<Process, StartError> {
    if program.args.first().is_none_or(String::is_empty) {
        return Err(StartError::NoCommand);
    }
    let mut process = spec.process().clone().unwrap_or_default();
    process.set_args(Some(program.args.clone())).set_terminal(Some(program.tty));
    if let Some((rows, columns)) = program.size.filter(|_| program.tty) {
        let size = BoxBuilder::default().height(u64::from(rows)).width(u64::from(columns)).build();
        process.set_console_size(size.ok());
    }
    let mut env = process.env().clone().unwrap_or_default();
    for entry in &program.env {
        let name = entry.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, _) = name.ok_or_else(|| StartError::BadVariable(entry.clone()))?;
        env.retain(|known| known.split_once('=').is_none_or(|(known, _)| known != name));
        env.push(entry.clone());
    }
    if program.tty && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    process.set_env(Some(env));
    if let Some(folder) = &program.dir {
        process.set_cwd(folder.into());
    }
    if let Some(user) = &program.user {
        let root = run_dir::root_of(dir).ok_or(StartError::NoContainer)?;
        process.set_user(bundle::user_in(&root, user)?);
        let uid = process.user().uid();
        process.set_capabilities(process.capabilities().clone().map(|set| of_user(set, uid)));
    }
    if program.privileged {
        process.set_capabilities(Some(bundle::every_capability(process.user().uid())?));
    }
    Ok(process)
}

/// Only root has capabilities; for other users they are only an upper bound.
fn of_user(mut set: LinuxCapabilities, uid: u32) -> LinuxCapabilities {
    let bounding = set.bounding().clone();
    let (effective, permitted) = if uid == 0 { (bounding.clone(), bounding) } else { (None, None) };
    let (effective, permitted) = (effective.unwrap_or_default(), permitted.unwrap_or_default());
    set.set_effective(Some(effective)).set_permitted(Some(permitted));
    set
}
