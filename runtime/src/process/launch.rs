//! Starting a monitor: the folder, the fifos, the lock, and one cheap spawn.
//!
//! The agent does not fork: `Command` without hooks is a `posix_spawn`, which shares the memory
//! until the exec, so the cost does not grow with the agent. Nothing here waits for the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crdt_state::spec::{Runtime, UserNamespace};
use crdt_state::task::TaskStart;
use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tokio::net::unix::pipe;

use super::prepare::Prepare;
use super::{DriverContext, config_files, user_ranges};
use crate::files;
use crate::fleet_files;
use crate::oci::{ContainerOrder, own_users};
use crate::refusal::StartError;
use crate::run_dir::{self, Order};
use crate::secret_files;

/// A monitor that was started.
#[derive(Debug)]
pub struct Launched {
    /// Written by the monitor; its end of file is the monitor's end.
    pub notify: pipe::Receiver,
    /// To be reaped when it has ended.
    pub monitor: Child,
}

/// What prepares the container of a run; `None`: it is a program of the host.
pub fn source<'a>(
    context: &'a DriverContext,
    start: &TaskStart,
) -> Result<Option<&'a dyn Prepare>, StartError> {
    if start.template.runtime == Runtime::Process {
        return Ok(None);
    }
    let image = || start.template.image.clone();
    let source = context.containers.as_deref();
    let source = source.ok_or_else(|| StartError::NoContainers { image: image() })?;
    let uid = geteuid().as_raw();
    if uid == 0 { Ok(Some(source)) } else { Err(StartError::NotRoot { uid, image: image() }) }
}

/// Starts the monitor of a run. After an error nothing is left, not on the disk either.
pub fn launch(
    context: &DriverContext,
    start: &TaskStart,
    mut container: Option<ContainerOrder>,
) -> Result<Launched, StartError> {
    let dir = context.dir(start.run);
    let broken = |source| StartError::RunDir { path: dir.display().to_string(), source };
    // The order holds the environment of the task, which may be secret.
    fs::DirBuilder::new().mode(0o700).create(&dir).map_err(broken)?;
    let cgroup = context.cgroup(start.run);
    let making_ms_max = context.making_ms_max;
    let ends_at_ms = context.ends.borrow_mut().remove(&start.run);
    if let (Some(container), Some(UserNamespace::Own)) =
        (&mut container, start.template.extension.users)
    {
        let taken = own_users::runtime(&container.runtime)
            .and_then(|runtime| Ok((runtime, user_ranges::take(&context.runs, start.run.task)?)));
        let (runtime, range) = taken.inspect_err(|_| drop(fs::remove_dir_all(&dir)))?;
        (container.runtime, container.users) = (runtime, Some(range));
    }
    let data = container.as_mut().map(|container| std::mem::take(&mut container.files));
    let (data, extension) = (data.unwrap_or_default(), &start.template.extension);
    let filled = container.as_ref().map(|container| container.filled.clone()).unwrap_or_default();
    let order = Order { start: start.clone(), cgroup, container, making_ms_max, ends_at_ms };
    let written = config_files::write(&dir, &extension.configs, &filled, &data);
    let in_memory = fleet_files::in_memory(extension, &filled);
    let secrets = written.and_then(|()| secret_files::pack(&in_memory, &data));
    let prepared = secrets.and_then(|secrets| prepare(&order, &dir, secrets)).map_err(broken);
    let launched = prepared.and_then(|prepared| spawn(context, &dir, prepared));
    launched.inspect_err(|_| drop(fs::remove_dir_all(&dir)))
}

struct Prepared {
    order: OwnedFd,
    notify: pipe::Receiver,
    notifier: File,
    control: File,
}

fn prepare(order: &Order, dir: &Path, secrets: Option<File>) -> io::Result<Prepared> {
    let private = Mode::from_bits_truncate(0o600);
    run_dir::write(dir, run_dir::ORDER, order)?;
    mkfifo(&dir.join(run_dir::NOTIFY), private)?;
    mkfifo(&dir.join(run_dir::CONTROL), private)?;
    // The reader is opened first: opening the other end without waiting needs one.
    let notify = open_notify(dir)?;
    let mut write = OpenOptions::new();
    let notifier =
        write.write(true).custom_flags(libc::O_NONBLOCK).open(dir.join(run_dir::NOTIFY))?;
    let mut both = OpenOptions::new();
    let both = both.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let control = both.open(dir.join(run_dir::CONTROL))?;
    let order = secret_files::hand_over(locked(dir)?, secrets.as_ref())?;
    Ok(Prepared { order, notify, notifier, control })
}

/// The reading end of a run's notify pipe.
pub fn open_notify(dir: &Path) -> io::Result<pipe::Receiver> {
    pipe::OpenOptions::new().open_receiver(dir.join(run_dir::NOTIFY))
}

/// The order, with the lock that its monitor holds for life. The lock belongs to the open file, not
/// to the process, so the monitor gets it with the descriptor.
fn locked(dir: &Path) -> io::Result<File> {
    let order = File::open(dir.join(run_dir::ORDER))?;
    order.try_lock().map_err(io::Error::from)?;
    Ok(order)
}

fn spawn(context: &DriverContext, dir: &Path, prepared: Prepared) -> Result<Launched, StartError> {
    let Prepared { order, notify, notifier, control } = prepared;
    let mut command = Command::new(&context.monitor);
    // The agent's environment may hold secrets, and a monitor lives long.
    command.arg0("edgectl").arg("monitor").arg(dir).args(files::word()).env_clear();
    command.stdin(Stdio::from(order)).stdout(Stdio::from(notifier)).stderr(Stdio::from(control));
    match command.spawn() {
        Ok(monitor) => Ok(Launched { notify, monitor }),
        Err(source) if source.raw_os_error() == Some(libc::EAGAIN) => {
            Err(StartError::Fork(Errno::EAGAIN))
        }
        Err(source) if source.raw_os_error() == Some(libc::ENOMEM) => {
            Err(StartError::Fork(Errno::ENOMEM))
        }
        Err(source) => {
            Err(StartError::Monitor { path: context.monitor.display().to_string(), source })
        }
    }
}
