//! Commands that run to their end before the program of a run begins, each in a container of its
//! own that is made like the run's.
//!
//! ```text
//! first command ──0──▶ second ──0──▶ … ──0──▶ the program
//!      └── another code, a signal, an order to stop ──▶ the run is over, its program never ran
//! ```
//! Nothing is told of the program meanwhile: [`run_dir::STATUS`] is written when it runs. An agent
//! that restarts in between begins the start anew, with the first command.

use std::fs::{self, File};
use std::path::Path;

use crdt_state::task::Exit;

use super::inherited::Inherited;
use super::watch;
use crate::oci;
use crate::refusal::StartError;
use crate::run_dir::{self, FinalStatus, Order};

/// Runs the commands of an order, in its folder. `Some`: the run was stopped meanwhile. The time
/// until which it may live is that of the order, and is moved with what the agent says.
pub fn run(
    order: &mut Order,
    inherited: &mut Inherited,
) -> Result<Option<FinalStatus>, StartError> {
    let commands = order.start.template.extension.pre_start.clone();
    if commands.is_empty() {
        return Ok(None);
    }
    // If it cannot be made, an agent that restarts waits for the usual time.
    let _ = File::create(run_dir::PRE_START);
    for words in &commands {
        let mut watch = watch::begin(&order_of(order, words), inherited)?;
        watch.until_exit(inherited);
        order.ends_at_ms = watch.ends_at_ms();
        let is_stopped = watch.is_stopped();
        let final_status = watch.end();
        if order.container.is_some() {
            oci::remove_root(Path::new("."));
        }
        match final_status {
            over if is_stopped => return Ok(Some(over)),
            FinalStatus::Exited { exit: Exit::Code(0), .. } => {}
            FinalStatus::Exited { oom: true, .. } => {
                return Err(failed(words, "was killed: it used more memory than its limit".into()));
            }
            FinalStatus::Exited { exit, .. } => return Err(failed(words, how(exit))),
            refused @ FinalStatus::Refused { .. } => return Ok(Some(refused)),
        }
    }
    let _ = fs::remove_file(run_dir::PRE_START);
    Ok(None)
}

/// The order of the run with another program, which has neither a health check nor a terminal.
fn order_of(order: &Order, words: &[String]) -> Order {
    let mut order = order.clone();
    let template = &mut order.start.template;
    template.health = None;
    template.container.tty = false;
    template.container.open_stdin = false;
    template.command = words.to_vec();
    template.args = Vec::new();
    if let Some(container) = &mut order.container {
        container.health = None;
    }
    order
}

fn failed(words: &[String], how: String) -> StartError {
    StartError::PreStart { command: words.join(" "), how }
}

fn how(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
        Exit::Unknown => "ended, and nobody knows how".to_owned(),
    }
}
