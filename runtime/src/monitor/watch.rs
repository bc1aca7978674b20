//! One supervised run: from the fork of its program to the end of its last process.
//!
//! ```text
//! begin ──▶ runs ──stop──▶ asked ──grace──▶ killed
//!             └──────────────┴─────────────────┴──▶ exit known ──▶ everything else killed ──▶ end
//! ```

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crdt_state::spec::HealthCheck;
use crdt_state::task::{Exit, Health};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::body::{self, Begun, Body};
use super::control::{ControlOrder, StopOrder};
use super::health::{CheckResult, Due, HealthChecker};
use super::inherited::Inherited;
use super::output::Output;
use super::stdin::Stdin;
use super::{descendants, descendants::Reaped};
use crate::boot_clock::Alarm;
use crate::cgroup::{Cgroup, Frozen};
use crate::logs::{LogOptions, writer::LogWriter};
use crate::proc_table::{self, Process};
use crate::refusal::StartError;
use crate::run_dir::{self, Order, Status};
use crate::signal;

/// A running program and all that belongs to it.
pub struct Watch {
    began: Instant,
    program: Pid,
    exit: Option<Exit>,
    cgroup: Cgroup,
    output: Output,
    signals: SignalFd,
    stop_default: StopOrder,
    /// When SIGKILL comes, milliseconds after `began`.
    kill_at: Option<u64>,
    /// When all of it is killed unless the agent says otherwise: the agent may be dead by then.
    end: Alarm,
    ends_at_ms: Option<u64>,
    asked: bool,
    body: Body,
    health: Option<(HealthChecker, Vec<String>)>,
    check: Option<Process>,
}

/// Starts what an order asks for in the current directory. Nobody is told yet.
pub fn begin(order: &Order, inherited: &Inherited) -> Result<Watch, StartError> {
    let template = &order.start.template;
    let health = health_of(body::health_of(order))?;
    let stop_signal = body::stop_signal_of(order).map(signal::parse).transpose()?;
    let (log_options, unknown) = LogOptions::parse(&template.log_options)?;
    let log = LogWriter::new(PathBuf::from(run_dir::LOG), log_options);
    let signals =
        wait_for_signals().map_err(|errno| StartError::Step { step: "wait for signals", errno })?;
    let mut end = Alarm::new().map_err(|error| StartError::Step {
        step: "set an alarm",
        errno: Errno::from_raw(error.raw_os_error()),
    })?;
    end.set(order.ends_at_ms);
    if end.is_due() {
        return Err(StartError::Late);
    }
    let Begun { program, mut cgroup, output, body } = super::begin::begin(order, log, inherited)?;
    cgroup
        .warnings
        .extend(unknown.iter().map(|name| format!("the log option {name} is not known here")));
    if health.is_some() && template.health.is_none() {
        // A reader of the template alone does not expect a verdict.
        tell_health(Health::Starting);
    }
    let stop_default = StopOrder { signal: stop_signal, grace_ms: template.stop_grace_ms };
    let watch = Watch {
        began: Instant::now(),
        program,
        exit: None,
        cgroup,
        output,
        signals,
        stop_default,
        kill_at: None,
        end,
        ends_at_ms: order.ends_at_ms,
        asked: false,
        body,
        health,
        check: None,
    };
    Ok(watch)
}

/// The health command. A health program that does not exist makes the task unhealthy, as in Docker;
/// it does not refuse the start.
fn health_of(
    check: Option<&HealthCheck>,
) -> Result<Option<(HealthChecker, Vec<String>)>, StartError> {
    let Some(check) = check else { return Ok(None) };
    let words = match check.test.split_first() {
        None => return Ok(None),
        Some((kind, [])) if kind == "NONE" => return Ok(None),
        Some((kind, words)) if kind == "CMD" && !words.is_empty() => words.to_vec(),
        Some((kind, [line])) if kind == "CMD-SHELL" => {
            ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
        }
        Some(_) => return Err(StartError::HealthTest(check.test.clone())),
    };
    Ok(Some((HealthChecker::new(check), words)))
}

fn wait_for_signals() -> nix::Result<SignalFd> {
    let mut waited: SigSet = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        waited.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&waited), None)?;
    SignalFd::with_flags(&waited, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

impl Watch {
    /// Writes which processes run. A run that cannot be found again must not run.
    pub fn tell_status(self) -> Result<Watch, StartError> {
        let process = |pid: u32| Process::of(pid).unwrap_or(Process { pid, started: 0 });
        let status = Status {
            boot: proc_table::boot_id(),
            monitor: process(std::process::id()),
            program: process(self.program.as_raw() as u32),
            warnings: self.cgroup.warnings.clone(),
        };
        match run_dir::write(Path::new("."), run_dir::STATUS, &status) {
            Ok(()) => Ok(self),
            Err(source) => {
                self.end();
                Err(StartError::RunDir { path: run_dir::STATUS.to_owned(), source })
            }
        }
    }

    /// Returns when the program itself has ended.
    pub fn until_exit(&mut self, inherited: &mut Inherited) {
        // What arrived while the program was started.
        self.carry_out_orders(inherited);
        self.on_time(inherited);
        while self.exit.is_none() {
            self.wait(inherited);
            self.take_signals();
            self.reap(inherited);
            self.carry_out_orders(inherited);
            if let Some(stdin) = self.body.stdin_mut() {
                stdin.pump();
            }
            self.output.pump();
            self.on_time(inherited);
        }
    }

    fn carry_out_orders(&mut self, inherited: &Inherited) {
        inherited.control.receive();
        for order in inherited.control.drain() {
            match order {
                ControlOrder::Stop(stop) => self.stop(stop),
                ControlOrder::Resize(size) => {
                    self.body.stdin().inspect(|stdin| stdin.resize(size));
                }
                ControlOrder::EndOfInput => {
                    self.body.stdin_mut().map(Stdin::close);
                }
                ControlOrder::End(at_ms) => {
                    self.ends_at_ms = at_ms;
                    self.end.set(at_ms);
                }
            }
        }
    }

    /// Was it asked to end?
    pub fn is_stopped(&self) -> bool {
        self.asked
    }

    /// When all of it is killed, as the agent said last.
    pub fn ends_at_ms(&self) -> Option<u64> {
        self.ends_at_ms
    }

    /// Ends what the program left behind and returns the final status.
    pub fn end(mut self) -> run_dir::FinalStatus {
        descendants::end_all(&self.cgroup);
        self.output.finish();
        let exit = self.exit.unwrap_or(Exit::Unknown);
        // 137 is the exit code that a shell gives for a child that SIGKILL ended.
        let killed = matches!(exit, Exit::Signal(libc::SIGKILL) | Exit::Code(137));
        let oom = killed && self.cgroup.oom_kills() > 0;
        self.cgroup.remove();
        run_dir::FinalStatus::Exited { exit, oom }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wait(&self, inherited: &Inherited) {
        // The health of a program that was asked to end does not matter.
        let health = self.health.as_ref().filter(|_| !self.asked);
        let health = health.map(|(checker, _)| checker.deadline());
        let deadline = [self.kill_at, health].into_iter().flatten().min();
        let timeout = match deadline {
            None => PollTimeout::NONE,
            // One millisecond more: the rest of the current one must not become a busy loop.
            Some(at) => {
                let left = at.saturating_sub(self.now()).saturating_add(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let always =
            [self.signals.as_fd(), inherited.control.as_fd(), self.end.as_fd()].into_iter();
        let mut fds: Vec<PollFd<'_>> = always
            .chain(self.output.pipes())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .chain(self.body.stdin().and_then(Stdin::poll_fd))
            .collect();
        // An error is a signal, or there was nothing to wait for: everything is checked anyway.
        let _ = poll(&mut fds, timeout);
    }

    fn take_signals(&mut self) {
        while let Ok(Some(taken)) = self.signals.read_signal() {
            // The machine shuts down, or somebody kills monitors: the program gets its stop signal.
            if taken.ssi_signo == libc::SIGTERM as u32 {
                self.stop(self.stop_default);
            }
        }
    }

    fn reap(&mut self, inherited: &mut Inherited) {
        while let Reaped::One(pid, exit) = descendants::reap() {
            if pid == self.program {
                self.exit = Some(exit);
                return;
            }
            if let Some(check) = self.check.take_if(|check| check.pid == pid.as_raw() as u32) {
                self.body.clear_check(check, &self.cgroup);
                let passed = exit == Exit::Code(0);
                let result = if passed { CheckResult::Passed } else { CheckResult::Failed };
                self.on_checked(result, inherited);
            }
        }
    }

    /// The grace that a container made by hand has of itself does not shorten one that was asked for
    /// by hand before (`docker stop -t`).
    fn stop(&mut self, order: StopOrder) {
        let is_default = order.signal.is_none() && order.grace_ms == self.stop_default.grace_ms;
        if self.asked && is_default && self.body.is_standalone() {
            return;
        }
        // What is frozen takes no signal.
        self.cgroup.freeze(Frozen::No);
        let kill_at = self.now().saturating_add(order.grace_ms);
        self.kill_at = Some(self.kill_at.map_or(kill_at, |earlier| earlier.min(kill_at)));
        let first = !std::mem::replace(&mut self.asked, true);
        if first && order.grace_ms > 0 {
            let signal = order.signal.or(self.stop_default.signal);
            let signal = signal.unwrap_or(signal::STOP_SIGNAL_DEFAULT);
            // The program is not reaped yet, so that its id is still its own.
            proc_table::signal(self.program.as_raw() as u32, signal);
        }
    }

    fn on_time(&mut self, inherited: &mut Inherited) {
        if self.end.is_due() || self.kill_at.is_some_and(|at| at <= self.now()) {
            self.kill_at = None;
            self.end.set(None);
            descendants::kill(&self.cgroup, self.program);
        }
        let now = self.now();
        let Some((checker, command)) = self.health.as_mut().filter(|_| !self.asked) else { return };
        match checker.poll(now) {
            None => {}
            Some(Due::Check) => match self.body.check(command, inherited.null()) {
                // The command is not reaped yet, so that its process is found.
                Ok(pid) => self.check = Process::of(pid.as_raw() as u32),
                Err(_) => self.on_checked(CheckResult::Failed, inherited),
            },
            Some(Due::TimeOut) => {
                if let Some(check) = self.check {
                    self.body.end_check(check, &self.cgroup);
                }
            }
        }
    }

    fn on_checked(&mut self, result: CheckResult, inherited: &mut Inherited) {
        let now = self.now();
        let Some((checker, _)) = self.health.as_mut().filter(|_| !self.asked) else { return };
        if let Some(verdict) = checker.handle_result(now, result) {
            tell_health(verdict);
            inherited.notify();
        }
    }
}

fn tell_health(verdict: Health) {
    // If the disk refuses the write, the agent keeps the last verdict.
    let word = run_dir::health_word(verdict);
    let _ = run_dir::write_bytes(Path::new("."), run_dir::HEALTH, word.as_bytes());
}
