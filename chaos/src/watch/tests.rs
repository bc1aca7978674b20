//! What the checkers take from one machine, with a real node and scripted programs.

use crdt_state::ServiceId;
use crdt_state::spec::{Labels, Scale, Template, UpdateOrder, UpdatePolicy};
use crdt_state::task::{Run, Slot, TaskStart};
use gossip::GossipConfig;
use node_core::edit::{Edit, ServiceSpec};
use node_core::{Action, Input};

use super::{Watch, jobs};
use crate::check::kept::Copy;
use crate::machine::Machine;
use crate::programs::Programs;
use crate::sim_node::{SimNode, Start};

/// A machine with the only agent of its fleet.
struct Lone {
    machine: Machine,
    node: SimNode,
    started: Vec<TaskStart>,
}

impl Lone {
    fn new() -> Lone {
        let mut machine = Machine::new(0, 1);
        let node = SimNode::boot(Start {
            machine: 0,
            address: machine.address(),
            seed: machine.seed,
            wall_ms: 1,
            disk: &mut machine.disk,
            adopted: Vec::new(),
            gossip: GossipConfig::default(),
        });
        Lone { machine, node, started: Vec::new() }
    }

    /// Feeds one fact, and does what the node orders.
    fn step(&mut self, at: u64, input: Input) {
        self.node.step(at, 1, input);
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Persist { seq, .. } => self.step(at, Input::Persisted { seq }),
                Action::StartRun(start) => {
                    self.machine.programs.start(at, &start);
                    self.started.push(*start);
                }
                _ => {}
            }
        }
    }

    /// Creates a service with one task of this program, which runs at 5,500 ms.
    fn run(&mut self, command: &str) -> Run {
        let spec = Box::new(service(command));
        self.step(1, Input::Edit { ticket: 1, edit: Box::new(Edit::CreateService(spec)) });
        self.step(5_000, Input::TimerFired);
        let run = self.started.last().expect("it starts").run;
        let (of, event) = self.machine.programs.poll(5_500).expect("it has started");
        self.step(5_500, Input::Run { run: of, event });
        assert!(self.machine.programs.is_running(run));
        run
    }
}

fn service(command: &str) -> ServiceSpec {
    let command = command.split(' ').map(str::to_owned).collect();
    let update_policy =
        UpdatePolicy { parallelism: 0, delay_ms: 0, monitor_ms: 0, order: UpdateOrder::StopFirst };
    ServiceSpec {
        name: "web".to_owned(),
        template: Template { command, ..Template::default() },
        scale: Scale::Replicated { replicas: 1 },
        placement: Default::default(),
        update_policy,
        relations: Default::default(),
        update_rules: Default::default(),
        rollback_policy: Default::default(),
        partition: Default::default(),
        schedule: None,
        autoscale: None,
        endpoint: Default::default(),
        networks: Vec::new(),
        by_name: false,
        labels: Labels::new(),
    }
}

#[test]
fn a_run_is_no_longer_wanted_from_the_step_in_which_its_node_learns_of_the_removal() {
    let mut lone = Lone::new();
    let run = lone.run("steady");
    assert_eq!(lone.node.unwanted_runs(), []);
    let edit = Box::new(Edit::RemoveService { id: lone.started[0].service });
    lone.step(6_000, Input::Edit { ticket: 2, edit });
    assert!(lone.machine.programs.is_running(run), "its end takes time");
    assert_eq!(lone.node.unwanted_runs(), [run], "the service may be back before it has ended");
}

#[test]
fn a_program_of_a_service_that_nobody_can_read_is_waited_for_if_it_will_end() {
    for (command, is_waited_for) in [("steady", false), ("work 9", true)] {
        let mut lone = Lone::new();
        // A node that cannot read the record: it has none.
        let reader = Lone::new().node;
        lone.run(command);
        assert_eq!(jobs::unread_ended(&lone.node, std::slice::from_ref(&lone.machine)), Ok(()));
        let verdict = jobs::unread_ended(&reader, std::slice::from_ref(&lone.machine));
        assert_eq!(verdict.is_err(), is_waited_for, "{command}");
    }
}

#[test]
fn a_run_that_ended_before_the_next_inspection_counts_as_a_copy_that_ran_a_moment_ago() {
    let mut watch = Watch::new(2);
    let mut programs = Programs::new(crate::dice::Dice::new(1, "programs"));
    let start = TaskStart {
        run: Run { task: crdt_state::TaskId([1; 16]), attempt: 1 },
        service: ServiceId([2; 16]),
        service_name: "web".to_owned(),
        slot: Slot::Number(1),
        template_version: crdt_state::spec::TemplateVersion(1),
        template: Template { command: vec!["broken".to_owned()], ..Template::default() },
        interfaces: Vec::new(),
    };
    programs.start(1_000, &start);
    while let Some((run, event)) = programs.poll(3_000) {
        watch.on_run_event((3_000, 1), run, &event, &programs);
    }
    assert!(!programs.is_running(start.run));
    let facts = programs.facts(start.run).expect("it was started");
    let copy = Copy { machine: 1, ran_at: 3_000, is_stopping: false };
    assert_eq!(watch.copies(0, facts), [copy]);
}
