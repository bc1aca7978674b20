//! The schedules of jobs: which runs this node declares, and when.
//!
//! ```text
//! a run is due by this node's clock ──▶ its turn among the members has come ──▶ declared
//!        │                                            │
//!        └─ its clock differs from the others' ─▶ left to them        the earlier run has not ended,
//!                                                                     and may not be replaced
//!                                                                              ──▶ passed over
//! ```
//! The members have an order for each job; the first one declares a run when it is due, and each of
//! the others waits [`TURN_MS`] longer, in case those before it are gone or their clocks late. All of
//! them would declare the same run, so that a second declaration changes nothing.
//!
//! The time of day decides only whether a run is due. It must never order, merge or keep alive
//! anything: which run counts follows from the records. Decision 23.

use std::collections::BTreeMap;

use crdt_state::replica::Replica;
use crdt_state::schedule::{Missed, Overlap, RunReport, Schedule, Scheduled, ScheduledRun};
use crdt_state::service::Service;
use crdt_state::spec::TemplateVersion;
use crdt_state::task::Slot;
use crdt_state::{Kind, NodeId, RecordKey, ServiceId};
use gossip::Now;

use crate::plan::Placed;
use crate::planner::Planner;
use crate::reason::Unplaced;
use crate::score;
use crate::tasks::StepTime;
use crate::timetable::Timetable;

mod peer_clocks;
mod status;

pub use peer_clocks::{ClockFault, PeerClocks};

/// How far clocks may differ, in seconds. A node whose clock differs more from those of its peers
/// declares nothing, and a time that is further in the future was written by such a clock. Ten
/// minutes are far more than machines without a time server drift in months, and far less than a
/// clock is wrong that starts in 1970.
pub const AHEAD_S_MAX: u64 = 600;

/// How long each member waits longer than the one before it, in milliseconds: a declaration reaches
/// the members of a site in less than a second, and those behind a slow link in a few.
pub const TURN_MS: u64 = 5_000;

/// How much longer a member waits that has not compared its clock with that of any other member, in
/// milliseconds: an agent that has just begun asks after five seconds. If nobody answers, because
/// the others have an agent that does not know the question, it goes by its own clock.
pub const UNSURE_MS: u64 = 30_000;

/// A run that is declared later than this counts as missed, in seconds: with 50 members the last
/// one's turn comes after 250 s, and its clock may be [`AHEAD_S_MAX`] late.
pub const LATE_S_MAX: u64 = 900;

/// A node looks at its clock at least so often, in milliseconds, so that one that was set takes
/// effect.
const LOOK_MS: u64 = 60_000;

/// The schedules of all jobs, and this node's part in them.
pub struct Schedules {
    me: NodeId,
    jobs: BTreeMap<ServiceId, Job>,
    clocks: PeerClocks,
    /// When it is looked at them again.
    deadline: Now,
    /// The time of day less the monotonic time, when they were last compared.
    clock_ms: u64,
}

struct Job {
    schedule: Schedule,
    /// `None`: a later version wrote what this one cannot read.
    timetable: Option<Timetable>,
    /// The time of day when this agent first read the schedule, in seconds.
    seen_s: u64,
    /// The run that waits for this node's turn, and since when.
    due: Option<(u64, Now)>,
    next_s: Option<u64>,
    fault: Option<ClockFault>,
}

/// What this node makes of the schedule of a job, by its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleStatus {
    /// The next run, in seconds since 1970.
    pub next_s: Option<u64>,
    /// The same as clocks of the zone show it.
    pub next: Option<String>,
    /// The latest run, as clocks of the zone show it.
    pub last: Option<String>,
    /// The latest time that was passed over since, because the run before had not ended.
    pub passed_over: Option<String>,
    /// A run is due, and waits for this node's turn to declare it.
    pub is_due: bool,
    /// Why this node declares nothing.
    pub fault: Option<ClockFault>,
    /// The schedule was written by a version that knows more, or by none.
    pub is_unreadable: bool,
}

/// What became of a run that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// It begins.
    Run(ServiceId, u64),
    /// It was passed over.
    PassedOver(ServiceId, u64),
}

impl Schedules {
    /// No schedule is known yet.
    pub fn new(me: NodeId) -> Schedules {
        Schedules {
            me,
            jobs: BTreeMap::new(),
            clocks: PeerClocks::default(),
            deadline: Now::START,
            clock_ms: 0,
        }
    }

    /// When this node looks at its clock again.
    pub fn deadline(&self) -> Now {
        self.deadline
    }

    /// Does any job have a schedule?
    pub fn is_any(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Of how many other nodes the clocks are known.
    pub fn clocks_known(&self) -> usize {
        self.clocks.count()
    }

    /// A record changed: a schedule may be another one, a run declared, or the order of the members
    /// another.
    pub fn on_record(&mut self, kind: Kind) {
        let is_order = kind == Kind::NODE && self.is_any();
        if is_order || [Kind::SERVICE, Kind::SCHEDULED_RUNS].contains(&kind) {
            self.deadline = Now::START;
        }
    }

    /// Nothing is declared any more: the node leaves.
    pub fn rest(&mut self) {
        self.deadline = Now::NEVER;
    }

    /// The times of day of other nodes, as they are now.
    pub fn on_clocks_found(&mut self, now: Now, found: &BTreeMap<NodeId, u64>) {
        self.clocks.note(now, found);
        self.deadline = Now::START;
    }

    /// A clock that was set, by more than a second, is looked at anew.
    pub fn on_step(&mut self, now: Now, wall_ms: u64) {
        let clock_ms = wall_ms.wrapping_sub(now.0);
        if clock_ms.abs_diff(self.clock_ms) > 1_000 {
            self.clock_ms = clock_ms;
            if self.is_any() {
                self.deadline = Now::START;
            }
        }
    }

    /// Declares what is due, in this node's own records.
    pub fn handle_due(
        &mut self,
        time: StepTime,
        planner: &Planner,
        replica: &mut Replica,
    ) -> Vec<Declared> {
        if time.now < self.deadline {
            return Vec::new();
        }
        self.read(planner, time.wall_ms / 1_000);
        self.clocks.keep(|node| planner.is_here(node));
        self.deadline = Now::NEVER;
        let (me, clocks, mut declared) = (self.me, &self.clocks, Vec::new());
        for (id, job) in &mut self.jobs {
            let Some(service) = planner.catalog().services.get(id) else { continue };
            let at = match job.due_run(time, service, planner, clocks) {
                Due::At(at) => at,
                Due::Now(due_s) => match turn(me, *id, planner) {
                    Some(turn) => {
                        let is_unsure = clocks.count() == 0 && has_others(me, planner);
                        let unsure_ms = if is_unsure { UNSURE_MS } else { 0 };
                        let since = match job.due {
                            Some((waits, since)) if waits == due_s => since,
                            _ => time.now,
                        };
                        job.due = Some((due_s, since));
                        since.plus(turn * TURN_MS + unsure_ms)
                    }
                    None => time.now.plus(LOOK_MS),
                },
            };
            self.deadline = self.deadline.min(at);
            if let Some((due_s, _)) = job.due.filter(|_| at <= time.now) {
                let said = said(me, *id, replica);
                let report = if is_passed_over(service, planner) {
                    declared.push(Declared::PassedOver(*id, due_s));
                    RunReport { passed_over_s: due_s, ..said }
                } else {
                    declared.push(Declared::Run(*id, due_s));
                    with_run(service, due_s, time.wall_ms, said)
                };
                replica.put_owned(RecordKey::scheduled_runs(me, *id), &report, time.wall_ms);
                job.due = None;
            }
        }
        declared
    }

    /// A time as clocks in the zone of a job's schedule show it.
    pub fn shown(&self, id: ServiceId, at_s: u64) -> String {
        let timetable = self.jobs.get(&id).and_then(|job| job.timetable.as_ref());
        timetable.map_or_else(|| at_s.to_string(), |timetable| timetable.shown(at_s))
    }

    /// What this node makes of the schedule of a job.
    pub fn status(&self, service: &Service, planner: &Planner) -> Option<ScheduleStatus> {
        let job = self.jobs.get(&service.id)?;
        let shown = |at_s: u64| job.timetable.as_ref().map(|timetable| timetable.shown(at_s));
        let last_s = service.run.map(|run| run.due_s);
        let reports = planner.catalog().runs.get(&service.id).into_iter().flatten();
        let passed_over = reports.map(|(_, report)| report.passed_over_s).max();
        let passed_over = passed_over.filter(|passed| *passed > last_s.unwrap_or(0));
        Some(ScheduleStatus {
            next_s: job.next_s,
            next: job.next_s.and_then(shown),
            last: last_s.and_then(shown),
            passed_over: passed_over.and_then(shown),
            is_due: job.due.is_some(),
            fault: job.fault,
            is_unreadable: job.timetable.is_none(),
        })
    }

    fn read(&mut self, planner: &Planner, wall_s: u64) {
        let services = &planner.catalog().services;
        let of = |id: &ServiceId| {
            let service = services.get(id).filter(|service| service.scale.is_job())?;
            service.schedule.as_ref().map(|written| &written.schedule)
        };
        self.jobs.retain(|id, job| of(id) == Some(&job.schedule));
        for id in services.keys().filter(|id| !self.jobs.contains_key(id)).collect::<Vec<_>>() {
            let Some(schedule) = of(id) else { continue };
            let timetable = Timetable::parse(&schedule.cron, &schedule.zone).ok();
            let (schedule, seen_s) = (schedule.clone(), wall_s);
            let job = Job { schedule, timetable, seen_s, due: None, next_s: None, fault: None };
            self.jobs.insert(*id, job);
        }
    }
}

enum Due {
    /// This run.
    Now(u64),
    /// None; look again then.
    At(Now),
}

impl Job {
    /// The latest run that is due and that nobody has declared or passed over.
    fn due_run(
        &mut self,
        StepTime { now, wall_ms, .. }: StepTime,
        service: &Service,
        planner: &Planner,
        clocks: &PeerClocks,
    ) -> Due {
        let wall_s = wall_ms / 1_000;
        let look = now.plus(LOOK_MS);
        self.next_s = None;
        let (Some(timetable), Some(written)) = (&self.timetable, &service.schedule) else {
            self.due = None;
            return Due::At(Now::NEVER);
        };
        let last_s = service.run.map_or(0, |run| run.due_s).max(written.from_s);
        self.fault = clocks.fault(now, wall_ms, last_s);
        if self.fault.is_some() {
            self.due = None;
            return Due::At(look);
        }
        let after = self.known_until(wall_s, written, service.id, planner);
        let missed = |due: &u64| self.schedule.missed == Missed::Skip && wall_s - due > LATE_S_MAX;
        self.next_s = timetable.next(after.max(wall_s));
        match timetable.latest(after, wall_s).filter(|due| !missed(due)) {
            Some(due) => Due::Now(due),
            None => {
                self.due = None;
                let wait = |next: u64| (next * 1_000).saturating_sub(wall_ms);
                Due::At(look.min(self.next_s.map_or(Now::NEVER, |next| now.plus(wait(next)))))
            }
        }
    }

    /// Until when every run was declared or passed over, or was due before there was the schedule.
    /// Times that lie in the future come from a clock that was wrong, and count for nothing.
    fn known_until(
        &self,
        wall_s: u64,
        written: &Scheduled,
        id: ServiceId,
        planner: &Planner,
    ) -> u64 {
        let reports = planner.catalog().runs.get(&id).into_iter().flatten();
        let declared = reports
            .flat_map(|(_, report)| [report.run.map_or(0, |run| run.due_s), report.passed_over_s]);
        let is_ahead = |at_s: &u64| *at_s > wall_s + AHEAD_S_MAX;
        let from_s = if is_ahead(&written.from_s) { self.seen_s } else { written.from_s };
        declared.filter(|at_s| !is_ahead(at_s)).fold(from_s, u64::max)
    }
}

/// Which member of the order this node is: how many come before it. `None`: it takes no part.
pub(crate) fn turn(me: NodeId, id: ServiceId, planner: &Planner) -> Option<u64> {
    let (service, slot) = (score::service_part(id), score::slot_part(Slot::Number(1)));
    let rank = |node: NodeId| (score::score(service, slot, score::node_part(node)), node);
    let catalog = planner.catalog();
    let takes_part = |node: &NodeId| planner.is_here(*node) && !catalog.is_leaving(*node);
    let members = catalog.nodes.keys().copied().filter(takes_part);
    let before = members.filter(|node| rank(*node) > rank(me)).count();
    takes_part(&me).then(|| u64::try_from(before).unwrap_or(u64::MAX))
}

/// Are other members here, whose clocks could be known?
fn has_others(me: NodeId, planner: &Planner) -> bool {
    planner.catalog().nodes.keys().any(|node| *node != me && planner.is_here(*node))
}

/// The node's own report of the runs of a job, as it was written last.
fn said(me: NodeId, id: ServiceId, replica: &Replica) -> RunReport {
    let said = replica.owned::<RunReport>(&RecordKey::scheduled_runs(me, id));
    said.map_or_else(|| RunReport::none(me, id), |(_, said)| said)
}

/// The report of this node after it declared a run.
fn with_run(service: &Service, due_s: u64, wall_ms: u64, said: RunReport) -> RunReport {
    let is_ahead = |last: &ScheduledRun| last.due_s > wall_ms / 1_000 + AHEAD_S_MAX;
    let round = service.run.map_or(0, |last| last.round.saturating_add(u32::from(is_ahead(&last))));
    let template = TemplateVersion::of(&service.template);
    RunReport { run: Some(ScheduledRun { round, due_s, template }), ..said }
}

/// Is a run passed over, because the one before has not ended?
fn is_passed_over(service: &Service, planner: &Planner) -> bool {
    let overlap = service.schedule.as_ref().map(|written| written.schedule.overlap);
    overlap == Some(Overlap::Skip) && has_not_ended(service.id, planner)
}

/// Does any slot of the run before have to run, or wait for its turn?
fn has_not_ended(id: ServiceId, planner: &Planner) -> bool {
    let plan = planner.plan().services.get(&id);
    let mut slots = plan.into_iter().flat_map(|plan| plan.slots.values());
    let is_over = |placed: &Placed| match placed {
        Placed::Nowhere(why) => {
            matches!(why, Unplaced::Complete | Unplaced::Failed | Unplaced::NotDue)
        }
        Placed::On(..) => false,
    };
    slots.any(|placed| !is_over(placed))
}
