//! How a run begins: a program of the host here, a container by its launcher.

use std::os::fd::{AsFd, BorrowedFd};

use super::body::{Begun, Body};
use super::inherited::Inherited;
use super::output::Output;
use super::program::{self, Setting};
use super::{container, spawn};
use crate::cgroup::{Cgroup, CgroupScope, Limits};
use crate::logs::writer::LogWriter;
use crate::refusal::StartError;
use crate::run_dir::{self, Order};

/// Begins what an order asks for.
pub fn begin(order: &Order, log: LogWriter, inherited: &Inherited) -> Result<Begun, StartError> {
    match &order.container {
        None => begin_program(order, log, inherited.null()),
        Some(container) => container::begin(order, container, log, inherited),
    }
}

fn begin_program(order: &Order, log: LogWriter, null: BorrowedFd<'_>) -> Result<Begun, StartError> {
    let template = &order.start.template;
    let mut setting = Setting::of(template, &run_dir::name(order.start.run))?;
    let found = setting.find(&program::words(template))?;
    let (output, write_ends) = Output::open(log, setting.identity.as_ref())
        .map_err(|errno| StartError::Step { step: "make pipes", errno })?;
    let cgroup = Cgroup::create(&order.cgroup, &Limits::of(template), CgroupScope::Needed);
    setting.join(&cgroup);
    let stdio = [null, write_ends.stdout.as_fd(), write_ends.stderr.as_fd()];
    let program = spawn::spawn(&setting, &found, stdio).inspect_err(|_| cgroup.remove())?;
    Ok(Begun { program, cgroup, output, body: Body::Program(Box::new(setting)) })
}
