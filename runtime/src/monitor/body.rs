//! What a monitor supervises: a program of the host, or a container. The two differ in how they
//! begin and how their health is checked; everything else is the same.

use std::os::fd::BorrowedFd;

use crdt_state::spec::HealthCheck;
use nix::libc;
use nix::unistd::Pid;

use super::descendants::ProcessSession;
use super::output::Output;
use super::program::Setting;
use super::stdin::Stdin;
use super::{container_check, descendants, spawn};
use crate::cgroup::Cgroup;
use crate::proc_table::{self, Process};
use crate::refusal::StartError;
use crate::run_dir::Order;

/// A run that has just begun.
pub struct Begun {
    /// Its program.
    pub program: Pid,
    /// Its cgroups, with the limits that could not be set.
    pub cgroup: Cgroup,
    /// Its output.
    pub output: Output,
    /// The program or the container.
    pub body: Body,
}

/// What is supervised.
pub enum Body {
    /// A program of the host, in these circumstances.
    Program(Box<Setting>),
    /// A container, made by this order.
    Container {
        /// The whole order: it describes the programs that are run in the container later.
        order: Box<Order>,
        /// What clients send it.
        stdin: Stdin,
    },
}

impl Body {
    /// The standard input of a container.
    pub fn stdin(&self) -> Option<&Stdin> {
        match self {
            Body::Program(_) => None,
            Body::Container { stdin, .. } => Some(stdin),
        }
    }

    /// The same, to pass something on.
    pub fn stdin_mut(&mut self) -> Option<&mut Stdin> {
        match self {
            Body::Program(_) => None,
            Body::Container { stdin, .. } => Some(stdin),
        }
    }

    /// Does it outlive its attempts?
    pub fn is_standalone(&self) -> bool {
        match self {
            Body::Program(_) => false,
            Body::Container { order, .. } => order.start.template.is_standalone(),
        }
    }

    /// Runs a health command; returns the process to wait for.
    pub fn check(&self, words: &[String], null: BorrowedFd<'_>) -> Result<Pid, StartError> {
        match self {
            Body::Program(setting) => {
                spawn::spawn(setting, &setting.find(words)?, [null, null, null])
            }
            Body::Container { order, .. } => container_check::check(order, words, null),
        }
    }

    /// Ends a health command that takes too long, with all processes that it started.
    pub fn end_check(&self, check: Process, cgroup: &Cgroup) {
        match self {
            Body::Program(_) => descendants::end_session(ProcessSession::of_leader(check), cgroup),
            // The helper ends the command, which is in a session of its own, and then itself.
            Body::Container { .. } => proc_table::signal(check.pid, libc::SIGTERM),
        }
    }

    /// Cleans up after a health command: kills the processes that it left behind.
    pub fn clear_check(&self, check: Process, cgroup: &Cgroup) {
        match self {
            Body::Program(_) => descendants::end_session(ProcessSession::of_leader(check), cgroup),
            // The helper has done so.
            Body::Container { .. } => {}
        }
    }
}

/// The health check of an order: the template's, or else the image's.
pub fn health_of(order: &Order) -> Option<&HealthCheck> {
    let of_image = || order.container.as_ref().and_then(|container| container.health.as_ref());
    order.start.template.health.as_ref().or_else(of_image)
}

/// The name of the signal that asks an order's program to end: the template's, or the image's.
pub fn stop_signal_of(order: &Order) -> Option<&str> {
    order.start.template.stop_signal.as_deref().or_else(|| {
        let config = order.container.as_ref()?.config.config().as_ref()?;
        config.stop_signal().as_deref().filter(|signal| !signal.is_empty())
    })
}
