//! Why tasks do not run, as the world knows it: feeds I14 with the causes that it injected.

use std::collections::BTreeMap;

use crdt_state::TaskId;
use crdt_state::task::{Exit, Run, RunEvent};

use super::Watch;
use crate::check::reasons;
use crate::network::MachineNo;
use crate::sim_node::SimNode;
use crate::sometimes::Event;

/// How the last attempt of each task ended, if its agent was told.
#[derive(Debug, Default)]
pub struct Causes {
    ended: BTreeMap<(MachineNo, TaskId), (u32, String)>,
}

impl Causes {
    /// The agent of a machine begins anew: what it says of its tasks from now on is about this life.
    pub(super) fn forget(&mut self, no: MachineNo) {
        self.ended.retain(|(machine, _), _| *machine != no);
    }
}

impl Watch {
    /// An agent is told how an attempt ended.
    pub(super) fn note_cause(&mut self, no: MachineNo, run: Run, event: &RunEvent) {
        let cause = match event {
            RunEvent::Refused { reason, .. } => reason.clone(),
            RunEvent::Exited { exit: Exit::Code(code), .. } if *code != 0 => format!("({code})"),
            _ => return,
        };
        self.causes.ended.insert((no, run.task), (run.attempt, cause));
    }

    /// Does a machine say of its tasks that wait to start again what their last attempt ended by?
    pub(super) fn ask_for_causes(&mut self, no: MachineNo, node: &SimNode) {
        for waiting in node.waiting() {
            let Some((attempt, cause)) = self.causes.ended.get(&(no, waiting.task)) else {
                continue;
            };
            if *attempt == waiting.attempt {
                self.sometimes.saw(Event::CauseTold);
                self.report(reasons::names_the_cause(no, &waiting, cause));
            }
        }
    }
}
