//! Between the socket and the command, until both are done.
//!
//! ```text
//! runs ──exit──▶ its session is killed ──drained, reported──▶ other sessions run on ──▶ end
//!  ├── the task ends: everything is killed
//!  └── the client is gone: SIGTERM (a terminal hangs up), SIGKILL after the grace
//! ```
//! Nothing is read that cannot be passed on: a slow client makes the command wait, and a command
//! that does not read makes the client wait.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crdt_state::task::Exit;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::setsid;

use super::channel::Channel;
use super::command::{self, EnterError, Running};
use super::frame::{CHUNK_BYTES, Frame, Kind};
use super::{ExecOrder, Target, target, terminal};
use crate::cgroup::{self, Cgroup};
use crate::monitor::descendants::{self, ProcessSession, Reaped};
use crate::run_dir;

/// How long a command may take to end after its client is gone.
const HANGUP_GRACE: Duration = Duration::from_secs(3);

/// How long the relay waits for the last output on a terminal after its command has ended: the
/// kernel delivers that output a little later.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Without a descriptor that reports the task's end, the relay checks the task this often.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes that wait for the command to read them; above, nothing more is taken from the socket. More
/// than anybody pastes, so that a resize behind them is still received.
const UNREAD_BYTES_MAX: usize = 64 * 1024;

/// The client has closed its end; nix has no name for this flag.
const HANGS_UP: PollFlags = PollFlags::from_bits_retain(libc::POLLRDHUP);

struct Relay<'a> {
    target: &'a Target,
    channel: &'a mut Channel,
    running: Running,
    /// The command's.
    session: Option<ProcessSession>,
    unread: Vec<u8>,
    /// The client will send no more input.
    ended: bool,
    detached: bool,
    exit: Option<(Exit, Instant)>,
    told: bool,
    /// When everything is killed, because the client is gone.
    kill_at: Option<Instant>,
    children: bool,
}

/// Runs a command, and returns when everything is over and reported.
pub fn run(target: &Target, order: &ExecOrder, channel: &mut Channel) -> Result<(), EnterError> {
    let mut waited = SigSet::empty();
    waited.add(Signal::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&waited), None).map_err(std::io::Error::from)?;
    let signals = SignalFd::with_flags(&waited, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
    let signals = signals.map_err(std::io::Error::from)?;
    let task = target::watch(target.program());
    // After this, the command's session is its own or this process's.
    let _ = setsid();
    let running = command::start(target, order)?;
    channel.stop_waiting()?;
    channel.queue(Kind::Started, &running.pid.as_raw().to_be_bytes());
    let session = ProcessSession::of_command(running.pid);
    let mut relay = Relay {
        target,
        channel,
        running,
        session,
        unread: Vec::new(),
        ended: false,
        detached: order.detached,
        exit: None,
        told: false,
        kill_at: None,
        children: true,
    };
    relay.until_over(&signals, task.as_ref());
    relay.clear_away();
    Ok(())
}

impl Relay<'_> {
    fn until_over(&mut self, signals: &SignalFd, task: Option<&OwnedFd>) {
        while self.children || !self.told || self.channel.has_waiting() {
            if self.wait(signals, task) && self.unread.len() >= UNREAD_BYTES_MAX {
                // The client hung up before all of its input could be taken: it counts as gone.
                self.channel.leave();
            }
            while let Ok(Some(_)) = signals.read_signal() {}
            if !self.target.program().is_alive() {
                descendants::end_all(&Cgroup::default());
                self.exit.get_or_insert((Exit::Signal(libc::SIGKILL), Instant::now()));
                self.children = false;
            }
            self.reap();
            // The command may take all of a full room at once. Frames behind that were received already,
            // and nothing would wake this process for them.
            loop {
                self.take_frames();
                let was_full = self.unread.len() >= UNREAD_BYTES_MAX;
                self.feed();
                if !was_full || self.unread.len() >= UNREAD_BYTES_MAX {
                    break;
                }
            }
            self.drain();
            self.on_exit();
            self.channel.flush();
            self.on_gone();
        }
    }

    /// Returns when something happened; true if the client hung up.
    fn wait(&self, signals: &SignalFd, task: Option<&OwnedFd>) -> bool {
        let mut fds: Vec<PollFd<'_>> = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(task.map(|task| PollFd::new(task.as_fd(), PollFlags::POLLIN)));
        let listener = fds.len();
        if !self.channel.is_gone() {
            let mut events = HANGS_UP;
            events.set(PollFlags::POLLIN, self.unread.len() < UNREAD_BYTES_MAX);
            events.set(PollFlags::POLLOUT, self.channel.has_waiting());
            fds.push(PollFd::new(self.channel.as_fd(), events));
        }
        if self.channel.has_room() {
            fds.extend(self.open_outputs().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        }
        if let Some(stdin) = self.running.stdin.as_ref().filter(|_| !self.unread.is_empty()) {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
        }
        // An error is a signal, or there was nothing to wait for: everything is checked anyway.
        let _ = poll(&mut fds, self.timeout(task));
        let gone = HANGS_UP | PollFlags::POLLHUP | PollFlags::POLLERR;
        let seen = fds.get(listener).filter(|_| !self.channel.is_gone());
        seen.and_then(PollFd::revents).is_some_and(|seen| seen.intersects(gone))
    }

    fn open_outputs(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let Running { stdout, stderr, .. } = &self.running;
        [stdout, stderr].into_iter().flatten().map(File::as_fd)
    }

    fn timeout(&self, task: Option<&OwnedFd>) -> PollTimeout {
        let check = task.is_none().then(|| Instant::now() + CHECK_INTERVAL);
        let words = self.exit.filter(|_| !self.told).map(|(_, at)| at + LAST_WORDS);
        let soonest = [check, words, self.kill_at].into_iter().flatten().min();
        let Some(at) = soonest else { return PollTimeout::NONE };
        let left = at.saturating_duration_since(Instant::now()).as_millis() + 1;
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }

    fn reap(&mut self) {
        loop {
            match descendants::reap() {
                Reaped::One(pid, exit) if pid == self.running.pid => {
                    self.exit.get_or_insert((exit, Instant::now()));
                    self.end_session();
                }
                Reaped::One(..) => {}
                Reaped::NoneYet => return,
                Reaped::NoChild => {
                    self.children = false;
                    self.exit.get_or_insert((Exit::Unknown, Instant::now()));
                    return;
                }
            }
        }
    }

    fn take_frames(&mut self) {
        while self.unread.len() < UNREAD_BYTES_MAX {
            let Some(Frame { kind, payload }) = self.channel.receive() else { return };
            match kind {
                Kind::Stdin if self.running.stdin.is_some() => self.unread.extend(payload),
                Kind::End => self.ended = true,
                Kind::Resize => {
                    let size = Frame { kind, payload }.size();
                    if let (Some(ours), Some(size)) = (&self.running.terminal, size) {
                        terminal::resize(ours, size);
                    }
                }
                _ => {}
            }
        }
    }

    /// Writes to the command as much as it takes now. A command that has stopped reading is no
    /// error.
    fn feed(&mut self) {
        let Some(stdin) = self.running.stdin.as_mut() else { return };
        while !self.unread.is_empty() {
            match stdin.write(&self.unread) {
                Ok(count) => drop(self.unread.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.unread.clear();
                    self.running.stdin = None;
                    return;
                }
            }
        }
        // A terminal can only be hung up, which is not the same as the end of a file.
        if self.ended && self.running.terminal.is_none() {
            self.running.stdin = None;
        }
    }

    fn drain(&mut self) {
        let Running { stdout, stderr, .. } = &mut self.running;
        let mut chunk = [0; CHUNK_BYTES];
        for (mouth, kind) in [(stdout, Kind::Stdout), (stderr, Kind::Stderr)] {
            while self.channel.has_room() || self.channel.is_gone() {
                let Some(open) = mouth.as_mut() else { break };
                match open.read(&mut chunk) {
                    Ok(count) if count > 0 => self.channel.queue(kind, &chunk[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    // The end: a pipe reads 0 bytes, a terminal an error.
                    Ok(_) | Err(_) => *mouth = None,
                }
            }
        }
    }

    /// Reports how the command ended, once all of its earlier output is queued. Later output of its
    /// children is dropped, as with Docker.
    fn on_exit(&mut self) {
        let Some((exit, at)) = self.exit.filter(|_| !self.told) else { return };
        let is_open = self.open_outputs().next().is_some();
        if !self.channel.is_gone() && is_open {
            // The queue is full: there may be more in the pipes.
            if !self.channel.has_room() {
                return;
            }
            if self.running.terminal.is_some() && at.elapsed() < LAST_WORDS {
                return;
            }
        }
        let code = match exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
            Exit::Unknown => super::CODE_CANNOT_RUN,
        };
        self.channel.queue(Kind::Exited, &code.to_be_bytes());
        self.told = true;
        let Running { stdin, stdout, stderr, terminal, .. } = &mut self.running;
        (*stdin, *stdout, *stderr, *terminal) = (None, None, None, None);
    }

    fn on_gone(&mut self) {
        let was_told_first = self.told && self.kill_at.is_none();
        if !self.channel.is_gone() || self.detached || was_told_first {
            return;
        }
        match self.kill_at {
            None => {
                self.kill_at = Some(Instant::now() + HANGUP_GRACE);
                let was_terminal = self.running.terminal.is_some();
                let Running { stdin, stdout, stderr, terminal, .. } = &mut self.running;
                // The kernel hangs up the foreground processes of a terminal that closes.
                (*stdin, *stdout, *stderr, *terminal) = (None, None, None, None);
                if let (Some(session), false, None) = (self.session, was_terminal, self.exit) {
                    let cgroup = Cgroup::existing(&self.target.order.cgroup);
                    descendants::signal_session(session, &cgroup, libc::SIGTERM);
                }
            }
            Some(at) if at <= Instant::now() && self.children => {
                self.end_session();
                descendants::end_all(&Cgroup::default());
                self.exit.get_or_insert((Exit::Signal(libc::SIGKILL), at));
                self.children = false;
            }
            Some(_) => {}
        }
    }

    fn end_session(&self) {
        if let Some(session) = self.session {
            descendants::end_session(session, &Cgroup::existing(&self.target.order.cgroup));
        }
    }

    /// If the task ended meanwhile, its monitor could not remove a cgroup that held a command.
    fn clear_away(&self) {
        let ended = std::path::Path::new(run_dir::FINAL_STATUS).exists();
        if ended
            || !self.target.program().is_alive() && !std::path::Path::new(run_dir::ORDER).exists()
        {
            let plan = &self.target.order.cgroup;
            Cgroup::existing(plan).remove();
            cgroup::remove_parents(plan);
        }
    }
}
