//! The driver's thread: it passes each order to the supervisor of its run, in the order of arrival.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crdt_state::task::{Run, RunEvent, TaskStart};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::supervise::{RunOrder, RunSupervisor};
use super::{DriverContext, DriverOrder, ProgressReport, adopt};
use crate::monitor::control::StopOrder;

/// How long the driver's end may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The driver's thread.
pub struct DriverLoop {
    context: Rc<DriverContext>,
    events: mpsc::Sender<(Run, RunEvent)>,
    /// The inbox of each run that is known.
    runs: BTreeMap<Run, mpsc::UnboundedSender<RunOrder>>,
    supervisors: JoinSet<()>,
}

impl DriverLoop {
    /// A driver without runs.
    pub fn new(context: DriverContext, events: mpsc::Sender<(Run, RunEvent)>) -> DriverLoop {
        let (runs, supervisors) = (BTreeMap::new(), JoinSet::new());
        DriverLoop { context: Rc::new(context), events, runs, supervisors }
    }

    /// Serves until the driver is dropped, and carries out the orders that were given before.
    pub async fn serve(mut self, mut inbox: mpsc::UnboundedReceiver<DriverOrder>) {
        while let Some(order) = inbox.recv().await {
            match order {
                DriverOrder::Start(start) => self.start(start),
                DriverOrder::Stop { run, signal, grace_ms } => {
                    self.tell(run, RunOrder::Stop(StopOrder { signal, grace_ms }));
                }
                DriverOrder::Expire { run, at_ms } => self.expire(run, at_ms),
                DriverOrder::Forget(run) => {
                    self.context.ends.borrow_mut().remove(&run);
                    self.tell(run, RunOrder::Forget);
                }
                // The caller may have given up.
                DriverOrder::Report(answer) => {
                    let _ = answer.send(ProgressReport { slow: self.context.slow.borrow().len() });
                }
                DriverOrder::Adopt(answer) => {
                    let (answers, found) = adopt::scan(&self.context).into_iter().unzip();
                    // The caller waits for the answer, or is gone with the whole agent.
                    let _ = answer.send(answers);
                    self.take_over(found);
                }
            }
            while self.supervisors.try_join_next().is_some() {
                self.runs.retain(|_, inbox| !inbox.is_closed());
            }
        }
        self.runs.clear();
        let all = async { while self.supervisors.join_next().await.is_some() {} };
        // A supervisor may wait to report to an agent that no longer listens.
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, all).await;
    }

    fn take_over(&mut self, found: Vec<adopt::Adopted>) {
        for adopted in found {
            let run = adopted.run;
            let supervisor =
                RunSupervisor::adopt(self.context.clone(), adopted, self.events.clone());
            self.supervise(run, supervisor, RunOrder::Report);
        }
    }

    fn start(&mut self, start: Box<TaskStart>) {
        let run = start.run;
        if let Some(start) = self.tell(run, RunOrder::Start(start)) {
            let supervisor = RunSupervisor::new(self.context.clone(), run, self.events.clone());
            self.supervise(run, supervisor, start);
        }
    }

    /// A run that is not launched yet is launched with the end that it was told last.
    fn expire(&mut self, run: Run, at_ms: Option<u64>) {
        let mut ends = self.context.ends.borrow_mut();
        match at_ms {
            Some(at) => ends.insert(run, at),
            None => ends.remove(&run),
        };
        drop(ends);
        self.tell(run, RunOrder::Expire(at_ms));
    }

    /// Returns the order if the run is not known, or was forgotten.
    fn tell(&self, run: Run, order: RunOrder) -> Option<RunOrder> {
        match self.runs.get(&run) {
            Some(inbox) => inbox.send(order).err().map(|refused| refused.0),
            None => Some(order),
        }
    }

    fn supervise(&mut self, run: Run, supervisor: RunSupervisor, first: RunOrder) {
        let (orders, inbox) = mpsc::unbounded_channel();
        orders.send(first).expect("its other end is in this function");
        self.runs.insert(run, orders);
        self.supervisors.spawn_local(supervisor.serve(inbox));
    }
}
