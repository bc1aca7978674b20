//! Settling: from changed records to a new plan, to orders, to further records, until nothing
//! changes any more.

use std::collections::BTreeSet;

use crdt_state::RecordKey;
use crdt_state::task::{Exit, Run, RunEvent, TaskStart};
use gossip::Now;

use super::Node;
use crate::addressing::LiveTask;
use crate::fleet_keys::FleetKeyNews;
use crate::input::Action;
use crate::tasks::{StepTime, TaskOrder};
use crate::withdrawals::HeldStop;

/// The most rounds of one settling; two are usual. Every round but the last changed a record of
/// this node. The next step continues at once with what is left after the last round.
const ROUNDS_MAX: usize = 8;

impl Node {
    /// Settles, unless nothing changed and nothing is due: a ping costs no pass over the tasks.
    pub(super) fn settle_if_due(&mut self, now: Now, wall_ms: u64) {
        self.drain_gossip(now, wall_ms);
        if !self.is_settled(now) {
            self.settle(now, wall_ms);
        }
    }

    /// Would settling do nothing? Every condition that makes [`Node::settle`] act must be checked
    /// here as well.
    fn is_settled(&self, now: Now) -> bool {
        let unchanged = !self.replica.has_changed() && !self.is_unfinished();
        unchanged
            && !self.departure.is_under_way()
            && self.reconciler.is_settled()
            && self.addressing.is_settled()
            && !self.outbox.is_due()
            && self.own_timers().iter().all(|(_, at)| *at > now)
    }

    pub(super) fn settle(&mut self, now: Now, wall_ms: u64) {
        self.settlings += 1;
        let time = self.step_time(now, wall_ms);
        self.replica.let_in();
        for _ in 0..ROUNDS_MAX {
            self.drain_gossip(now, wall_ms);
            let changed = self.replica.drain_changed();
            self.on_records(now, wall_ms, changed);
            // A node that lost its store receives the records that it wrote before. It must not
            // plan by them: it would stop tasks that run in favour of tasks that do not.
            if self.write_own_tasks(wall_ms) {
                let refuted = self.replica.drain_changed();
                self.on_records(now, wall_ms, refuted);
            }
            self.planner.on_due(self.reconciler.due_services(now));
            // Whom nobody has heard since this node booted counts as gone from now on.
            if self.planner.presence_deadline() <= now {
                self.network_news.everything = true;
                self.key_sharing.on_member();
            }
            let local = self.reconciler.services();
            for service in self.planner.replan(now, &self.gossip, local) {
                let time = self.step_time(now, wall_ms);
                self.reconciler.reconcile(time, &mut self.planner, &self.replica, service);
            }
            self.network_news.services.extend(self.planner.take_switched());
            let declared = self.declare_runs(time) | self.scale_services(time);
            let gave = self.give_addresses(wall_ms);
            // No task starts while a part of the records is held back: see `Replica::let_in`.
            if !self.replica.is_holding_back() {
                self.reconciler.handle_due(time, &self.planner);
            }
            self.go_on_departing(time);
            let wrote = self.write_own_tasks(wall_ms);
            if !wrote && !gave && !declared && !self.planner.is_outdated() {
                break;
            }
        }
        self.drain_gossip(now, wall_ms);
        self.give_orders(now, wall_ms);
        self.share_keys(now, wall_ms);
        if let Some(FleetKeyNews::Newest(offer)) = self.fleet_keys.take_due(&self.replica) {
            self.outbox.push(Action::TakeFleetKey(offer));
        }
        if let Some(news) = self.unlock_keys.take_due(&self.replica) {
            // Sealed by a key that a power cut takes away, nobody could open it.
            self.outbox.push_held(Action::Seal(news));
        }
        self.outbox.flush(&self.replica);
        self.settle_again_at = if self.is_unfinished() { now } else { Now::NEVER };
        if !self.planner.is_outdated() {
            self.replica.applied();
        }
    }

    /// Asks the agent for the keys that others are to get of this node, and drops those that nobody
    /// needs any more.
    fn share_keys(&mut self, now: Now, wall_ms: u64) {
        if self.key_sharing.is_settled() || self.planner.is_outdated() || self.departure.has_begun()
        {
            return;
        }
        for key in self.key_sharing.needless(&self.planner, &self.replica) {
            self.replica.retire_owned(key, wall_ms);
        }
        for share in self.key_sharing.take_due(&self.planner, &self.replica) {
            self.outbox.push(Action::ShareKey(share));
        }
        let changed = self.replica.drain_changed();
        self.on_records(now, wall_ms, changed);
    }

    /// Did the last settling leave work over?
    pub(super) fn is_unfinished(&self) -> bool {
        self.planner.is_outdated() || self.replica.is_holding_back()
    }

    /// Writes what changed in this node's own slots. Returns whether anything changed.
    fn write_own_tasks(&mut self, wall_ms: u64) -> bool {
        let mut events = Vec::new();
        let catalog = self.planner.catalog();
        let is_changed = self.reconciler.write(&mut self.replica, catalog, wall_ms, &mut events);
        for event in events {
            self.outbox.push(Action::Event(event));
        }
        is_changed
    }

    fn give_orders(&mut self, now: Now, wall_ms: u64) {
        while let Some(order) = self.reconciler.poll_order() {
            let action = match order {
                TaskOrder::Start(mut start) => match self.equip(&mut start) {
                    Ok(()) => {
                        if let Some(at) = self.reconciler.ends_at(start.service, start.slot) {
                            let run = start.run;
                            self.outbox.push_held(Action::ExpireRun { run, at });
                        }
                        Action::StartRun(start)
                    }
                    Err(reason) => {
                        self.on_not_equipped(now, wall_ms, start.run, reason);
                        continue;
                    }
                },
                TaskOrder::Stop { run, .. } if self.outbox.take_back_start(run) => {
                    self.on_never_started(now, wall_ms, run);
                    continue;
                }
                TaskOrder::Stop { run, signal, grace_ms } => {
                    let stop = HeldStop { signal, grace_ms };
                    if self.withdraw(now, run, &stop) {
                        continue;
                    }
                    stop.into_action(run)
                }
                TaskOrder::Forget(run) => Action::ForgetRun { run },
            };
            self.outbox.push_held(action);
        }
        if self.give_addresses(wall_ms) {
            let changed = self.replica.drain_changed();
            self.on_records(now, wall_ms, changed);
        }
        for (run, stop) in self.withdrawals.drain_due(now) {
            self.outbox.push_held(stop.into_action(run));
        }
    }

    /// Gives a task that is to start its networks and its generic resources.
    fn equip(&mut self, start: &mut TaskStart) -> Result<(), String> {
        let catalog = self.planner.catalog();
        self.addressing.equip(start, catalog)?;
        // Another template than the one that counts may start as well.
        if let Some(missing) = catalog.missing_of(self.me, &start.template) {
            return Err(missing);
        }
        if start.template.reservations.generic.is_empty() {
            return Ok(());
        }
        let reconciler = &self.reconciler;
        self.resources.free_of_ended(|task| reconciler.is_live(task));
        self.resources.equip(start, &self.devices)
    }

    /// Withdraws a task that takes connections before it is stopped. Returns whether its stop is
    /// held for that: a run that did not begin has none.
    fn withdraw(&mut self, now: Now, run: Run, stop: &HeldStop) -> bool {
        if self.withdrawals.is_held(run) {
            return true;
        }
        let is_withdrawn = self.addressing.withdraw(run.task);
        let is_held = is_withdrawn && self.reconciler.has_begun(run);
        if is_held {
            self.withdrawals.hold(now, run, stop.clone());
        }
        is_held
    }

    /// Gives the tasks of this node their addresses. Returns whether a record changed.
    fn give_addresses(&mut self, wall_ms: u64) -> bool {
        self.addressing.on_live_changed(self.reconciler.take_live_changed());
        if self.addressing.is_settled() {
            return false;
        }
        let (catalog, mut events) = (self.planner.catalog(), Vec::new());
        let outdated = self.addressing.take_outdated(catalog, self.reconciler.services());
        let services = outdated.services.iter();
        let live = services.flat_map(|service| self.reconciler.live_tasks_of(*service));
        let live: Vec<LiveTask> = live.collect();
        let (addressing, replica) = (&mut self.addressing, &mut self.replica);
        let wrote = addressing.settle((&outdated, &live), catalog, replica, wall_ms, &mut events);
        events.into_iter().for_each(|event| self.outbox.push(Action::Event(event)));
        wrote
    }

    /// A task cannot have its networks here: it tries again, as after any refusal that may pass.
    fn on_not_equipped(&mut self, now: Now, wall_ms: u64, run: Run, reason: String) {
        let refused = RunEvent::Refused { permanent: false, reason };
        self.on_run_event(now, wall_ms, run, refused);
        // A network that has not arrived, or a device that the earlier task still has.
        self.reconciler.forgive(run.task);
    }

    /// A slow disk held back a start until the task was no longer wanted. The run ends without a
    /// start: a program of a removed service must not run even for the time of a write.
    fn on_never_started(&mut self, now: Now, wall_ms: u64, run: Run) {
        let exited = RunEvent::Exited { exit: Exit::Unknown, oom: false };
        self.on_run_event(now, wall_ms, run, exited);
    }

    /// Something happened to a run that the runtime never saw.
    fn on_run_event(&mut self, now: Now, wall_ms: u64, run: Run, event: RunEvent) {
        let time = self.step_time(now, wall_ms);
        self.reconciler.handle_run(time, run, event, self.planner.catalog());
        if self.write_own_tasks(wall_ms) {
            let changed = self.replica.drain_changed();
            self.on_records(now, wall_ms, changed);
        }
    }

    /// Ends the departure when no task is left here. Stops the tasks that are left when other nodes
    /// took too long to take them over.
    fn go_on_departing(&mut self, time: StepTime) {
        let me = self.planner.catalog().nodes.get(&self.me);
        if me.is_some_and(|node| node.evicted) {
            self.departure.on_evicted(time.now);
        }
        if self.departure.is_due(time.now) {
            self.reconciler.stop_all(time);
        }
        let is_unwritten = self.replica.has_changed() || self.outbox.is_due();
        if !self.reconciler.is_idle() || self.outbox.is_writing() || is_unwritten {
            self.departure.wait(time.now);
        } else if self.departure.finish() {
            // Who leaves spreads no rumours any more: this one frees its addresses for others.
            let own = BTreeSet::from([RecordKey::node_networks(self.me)]);
            self.gossip.tell_now(&self.replica, &own);
            self.gossip.leave(time.now);
            self.drain_gossip(time.now, time.wall_ms);
            self.outbox.push_held(Action::Departed);
        }
    }
}
