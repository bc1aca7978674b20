//! Records of members that no edit could have written: they are signed and merged like any other,
//! read by nobody, passed on unchanged, and do not affect other records.

#[path = "support/world.rs"]
mod world;

use crdt_state::autoscale::{Autoscale, DeclaredCount, ScalingReport, ScalingReports};
use crdt_state::fleet::{FleetSettings, TASK_HISTORY_DEFAULT, TASK_HISTORY_MAX, TaskHistory};
use crdt_state::job::{ITERATIONS_MAX, JobReport};
use crdt_state::limits::{
    ATTEMPTS_MAX, DURATION_MS_MAX, MESSAGE_BYTES_MAX, PREFERENCES_MAX, REPLICAS_MAX, TASKS_MAX,
};
use crdt_state::node::NodeDescription;
use crdt_state::read::{NodeView, fleet_settings, scaling_of, volumes_of};
use crdt_state::spec::{
    Container, Endpoint, Facet, HealthCheck, Labels, Life, Mount, MountSource, Placement,
    PublishedPort, Resources, RestartPolicy, Scale, StoredTemplate, Template, TemplateVersion,
    UpdatePolicy,
};
use crdt_state::task::{Attempt, Slot, TaskRecord, TaskStatus};
use crdt_state::volume::{NodeVolumes, VolumeFact};
use crdt_state::{
    FleetImage, ImageFact, NodeId, Previous, RecordKey, Replica, Service, ServiceId, TaskId, Unfit,
    name_owner, services, wire,
};
use serde::Serialize;
use world::{everything, full_delta, replica};

const POISONED: ServiceId = ServiceId([1; 16]);
const SOUND: ServiceId = ServiceId([2; 16]);

fn create(replica: &mut Replica, id: ServiceId, name: &str) {
    let life = Life::Present { name: name.into(), created: replica.next_stamp() };
    replica.edit(RecordKey::service(id), Facet::LIFE, &life, 1);
}

/// Both nodes hold the same records, and neither reads this one; everything else is read.
fn assert_harms_only_itself(member: &Replica, key: RecordKey, what: &str) {
    let mut other = replica(2, 2);
    create(&mut other, SOUND, "sound");
    let mut third = replica(3, 3);
    assert_eq!(other.merge(&full_delta(member)).junk, [], "{what}");
    assert_eq!(third.merge(&full_delta(&other)).junk, [], "{what}");
    assert_eq!(third.digest(), other.digest(), "{what} is passed on");
    assert_eq!(everything(&third)[&key], everything(member)[&key], "{what} is passed on unchanged");
    let unfit: Vec<_> = third.unfit().collect();
    let [(found, digest, _)] = unfit[..] else { panic!("{what}: {unfit:?}") };
    assert_eq!((found, Some(digest)), (key, third.record_digest(&key)), "{what}");
    assert!(Service::read(&third, SOUND).is_some(), "{what}");
}

fn poison_facet<T: Serialize>(what: &str, facet: Facet, value: &T) {
    let mut member = replica(1, 1);
    create(&mut member, POISONED, "web");
    member.edit(RecordKey::service(POISONED), facet, value, 2);
    assert_harms_only_itself(&member, RecordKey::service(POISONED), what);
    assert_eq!((Service::read(&member, POISONED), services(&member)), (None, Vec::new()), "{what}");
}

fn poison_template(what: &str, change: impl FnOnce(&mut Template)) {
    let mut template = Template { command: vec!["sleep".into()], ..Template::default() };
    change(&mut template);
    poison_facet(what, Facet::TEMPLATE, &StoredTemplate(template));
}

#[test]
fn a_service_beyond_a_limit_is_read_by_nobody_and_passed_on() {
    for replicas in [REPLICAS_MAX + 1, u32::MAX] {
        poison_facet("the scale", Facet::SCALE, &Scale::Replicated { replicas });
    }
    for (completions, max_concurrent) in [(REPLICAS_MAX + 1, 1), (1, REPLICAS_MAX + 1), (1, 0)] {
        let job = Scale::JobReplicated { completions, max_concurrent };
        poison_facet("the scale of a job", Facet::SCALE, &job);
    }
    poison_facet("a scale of nowhere", Facet::SCALE, &("not", "a scale"));
    let preferences = vec!["spread=node.labels.zone".to_owned(); PREFERENCES_MAX + 1];
    let placement = Placement { preferences, ..Placement::default() };
    poison_facet("the preferences", Facet::PLACEMENT, &placement);
    let beyond = DURATION_MS_MAX + 1;
    poison_template("the grace", |t| t.stop_grace_ms = u64::MAX);
    poison_template("the grace, just", |t| t.stop_grace_ms = beyond);
    poison_template("the restart delay", |t| {
        t.restart = RestartPolicy { delay_ms: beyond, ..RestartPolicy::default() };
    });
    poison_template("the restart window", |t| {
        t.restart = RestartPolicy { window_ms: beyond, ..RestartPolicy::default() };
    });
    let health = HealthCheck {
        test: vec!["CMD".into(), "true".into()],
        interval_ms: 1,
        timeout_ms: 1,
        retries: u32::MAX,
        start_period_ms: 1,
        start_interval_ms: 1,
    };
    poison_template("the health timeout", |t| {
        t.health = Some(HealthCheck { timeout_ms: u64::MAX, ..health.clone() });
    });
    poison_template("the health interval", |t| {
        t.health = Some(HealthCheck { interval_ms: u64::MAX, ..health.clone() });
    });
    poison_template("memory", |t| t.reservations.memory_bytes = u64::MAX);
    poison_template("processors", |t| t.limits.nano_cpus = u64::MAX);
    poison_template("a generic resource", |t| {
        t.reservations.generic.insert("gpu".into(), u64::MAX);
    });
    poison_template("the OOM score", |t| t.container.oom_score_adj = i32::MIN);
    poison_template("a tmpfs", |t| {
        let source = MountSource::Tmpfs { size_bytes: u64::MAX, mode: u32::MAX };
        t.container.mounts.push(Mount { source, target: "/x".into(), read_only: false });
    });
    let policy = UpdatePolicy { monitor_ms: u64::MAX, ..UpdatePolicy::default() };
    poison_facet("the monitor", Facet::UPDATE_POLICY, &policy);
    let port = PublishedPort { published: 1, target: 1, protocol: "nonsense".into(), host: true };
    poison_facet("a port", Facet::ENDPOINT, &Endpoint { ports: vec![port] });
    poison_facet("the labels", Facet::LABELS, &7u8);
    let template = Template { stop_grace_ms: beyond, ..Template::default() };
    let previous = Previous {
        name: "web".into(),
        template,
        scale: Scale::Global,
        placement: Default::default(),
        update_policy: Default::default(),
        endpoint: Default::default(),
        labels: Labels::new(),
    };
    poison_facet("the spec before", Facet::PREVIOUS, &Some(previous));
}

#[test]
fn a_service_with_an_impossible_name_owns_none() {
    for name in ["", "a b", "\u{7f}", &"x".repeat(64)] {
        let mut member = replica(1, 1);
        create(&mut member, POISONED, name);
        assert_harms_only_itself(&member, RecordKey::service(POISONED), name);
        assert_eq!(name_owner(&member, name), None);
    }
}

#[test]
fn a_service_is_read_again_once_it_is_within_its_limits_and_can_be_removed_before() {
    let key = RecordKey::service(POISONED);
    let mut member = replica(1, 1);
    create(&mut member, POISONED, "web");
    member.edit(key, Facet::SCALE, &Scale::Replicated { replicas: u32::MAX }, 2);
    let too_much = |(_, _, unfit)| matches!(unfit, Unfit::TooMuch { value: 4_294_967_295, .. });
    assert!(member.unfit().all(too_much) && member.is_unfit(&key));
    assert!(matches!(member.life(&key), Some(Life::Present { .. })), "what it is called is known");
    let mut mended = replica(4, 4);
    mended.merge(&full_delta(&member));
    mended.edit(key, Facet::SCALE, &Scale::Replicated { replicas: REPLICAS_MAX }, 3);
    assert!(Service::read(&mended, POISONED).is_some());
    member.edit(key, Facet::LIFE, &Life::Removed { name: "web".into() }, 3);
    assert_eq!((member.unfit().count(), Service::read(&member, POISONED)), (0, None));
}

#[test]
fn a_value_beyond_a_limit_that_lost_cannot_be_picked() {
    let (mut one, mut other) = (replica(1, 1), replica(2, 2));
    create(&mut one, POISONED, "web");
    other.merge(&full_delta(&one));
    let key = RecordKey::service(POISONED);
    one.edit(key, Facet::SCALE, &Scale::Replicated { replicas: u32::MAX }, 0);
    other.edit(key, Facet::LABELS, &Labels::new(), 0);
    let fine = other.edit(key, Facet::SCALE, &Scale::Replicated { replicas: 2 }, 0);
    one.merge(&full_delta(&other));
    let conflict = one.conflicts().remove(0);
    assert_eq!((conflict.winner.stamp, one.is_unfit(&key)), (fine, false));
    assert!(one.pick(key, Facet::SCALE, conflict.losers[0].stamp, 0).is_err());
}

fn description(replica: &Replica) -> NodeDescription {
    NodeDescription {
        hostname: "n1".into(),
        os: "linux".into(),
        arch: "x86_64".into(),
        resources: Resources::default(),
        engine_labels: Labels::new(),
        engine_version: "1".into(),
        addresses: Vec::new(),
        joined: replica.next_stamp(),
        left: false,
    }
}

#[test]
fn a_node_that_says_the_impossible_of_itself_is_not_read() {
    let changes: [fn(&mut NodeDescription); 4] = [
        |d| d.hostname = "x".repeat(256),
        |d| d.addresses = vec!["10.0.0.1:1".into(); 65],
        |d| d.resources.nano_cpus = u64::MAX,
        |d| d.resources.generic = [("gpu".to_owned(), u64::MAX)].into(),
    ];
    for change in changes {
        let mut member = replica(1, 1);
        let mut said = description(&member);
        change(&mut said);
        let key = RecordKey::node(member.me());
        member.put_owned(key, &said, 0);
        assert_harms_only_itself(&member, key, "a node");
        assert_eq!(NodeView::read(&member, member.me()).description, None);
    }
    let mut member = replica(1, 1);
    let fact = VolumeFact { id: u64::MAX, created_wall_ms: u64::MAX, missing: true };
    let volumes = NodeVolumes::from([("v".repeat(256), fact)]);
    let key = RecordKey::volumes(member.me());
    member.put_owned(key, &volumes, 0);
    assert_harms_only_itself(&member, key, "volumes");
    assert!(volumes_of(&member, member.me()).is_empty());
}

fn said(node: NodeId, slot: Slot) -> TaskRecord {
    let current = Attempt::first(0);
    let task = TaskStatus {
        id: TaskId([1; 16]),
        template: crdt_state::spec::TemplateVersion(1),
        desired_running: true,
        running_since: u64::MAX,
        created_wall_ms: u64::MAX,
        current,
        history: Vec::new(),
    };
    TaskRecord { service: SOUND, slot, node, tasks: vec![task] }
}

fn poison_task(what: &str, record: impl FnOnce(NodeId) -> TaskRecord) {
    let mut member = replica(1, 1);
    let record = record(member.me());
    let key = RecordKey::task(member.me(), record.service, record.slot);
    member.put_owned(key, &record, 0);
    assert_harms_only_itself(&member, key, what);
    assert_eq!(member.owned::<TaskRecord>(&key), None, "{what}");
}

#[test]
fn what_a_node_says_of_its_tasks_is_measured() {
    poison_task("slot 0", |me| said(me, Slot::Number(0)));
    poison_task("a slot beyond all", |me| said(me, Slot::Number(u32::MAX)));
    poison_task("another's task", |_| said(NodeId([9; 16]), Slot::Number(1)));
    poison_task("tasks", |me| {
        let mut record = said(me, Slot::Number(1));
        record.tasks = vec![record.tasks[0].clone(); TASKS_MAX + 1];
        record
    });
    poison_task("attempts", |me| {
        let mut record = said(me, Slot::Number(1));
        record.tasks[0].history = vec![Attempt::first(0); ATTEMPTS_MAX + 1];
        record
    });
    poison_task("a message", |me| {
        let mut record = said(me, Slot::Number(1));
        record.tasks[0].current.message = "x".repeat(MESSAGE_BYTES_MAX + 1);
        record
    });
}

#[test]
fn what_a_node_completed_of_a_job_is_measured_and_is_its_own() {
    let is_read = |what: &str, change: fn(&mut JobReport)| {
        let mut member = replica(1, 1);
        let mut said = JobReport::none(member.me(), SOUND);
        change(&mut said);
        let key = RecordKey::completions(member.me(), SOUND);
        member.put_owned(key, &said, 0);
        let is_read = member.owned::<JobReport>(&key).is_some();
        assert_eq!(member.is_unfit(&key), !is_read, "{what}");
        is_read
    };
    assert!(is_read("sound", |said| said.complete(TemplateVersion(1), Slot::Number(3))));
    assert!(!is_read("another node's", |said| said.node = NodeId([7; 16])));
    let many = |said: &mut JobReport| {
        said.complete(TemplateVersion(1), Slot::Number(1));
        let one = said.iterations[0].clone();
        said.iterations.resize(ITERATIONS_MAX + 1, one);
    };
    assert!(!is_read("too many iterations", many));
}

#[test]
fn autoscaling_beyond_a_limit_is_not_read_and_neither_is_a_load() {
    let sound = Autoscale { min: 1, max: 9, cpu: Some(60), memory: None };
    for (what, asked) in [
        ("no task at least", Autoscale { min: 0, ..sound }),
        ("an empty range", Autoscale { min: 10, ..sound }),
        ("too many tasks", Autoscale { max: REPLICAS_MAX + 1, ..sound }),
        ("no target", Autoscale { cpu: None, ..sound }),
        ("nothing as a target", Autoscale { cpu: Some(0), ..sound }),
        ("too much as a target", Autoscale { memory: Some(10_001), ..sound }),
    ] {
        poison_facet(what, Facet::AUTOSCALE, &Some(asked));
    }
    let declared = Some(DeclaredCount { round: u32::MAX, count: REPLICAS_MAX + 1 });
    for said in [
        ScalingReport { tasks: REPLICAS_MAX + 1, ..ScalingReport::default() },
        ScalingReport { cpu: u32::MAX, ..ScalingReport::default() },
        ScalingReport { memory: u32::MAX, ..ScalingReport::default() },
        ScalingReport { declared, ..ScalingReport::default() },
    ] {
        let mut member = replica(1, 1);
        let key = RecordKey::scaling(member.me());
        member.put_owned(key, &ScalingReports::from([(SOUND, said)]), 0);
        assert_harms_only_itself(&member, key, "a load");
        assert_eq!(scaling_of(&member, member.me()), ScalingReports::new());
    }
}

#[test]
fn settings_of_a_fleet_beyond_a_limit_are_not_read() {
    let mut member = replica(1, 1);
    let key = RecordKey::fleet_settings();
    assert_eq!(fleet_settings(&member), FleetSettings::default());
    let most = TaskHistory { limit: TASK_HISTORY_MAX };
    let at = member.edit(key, Facet::TASK_HISTORY, &most, 7);
    let read = fleet_settings(&member);
    assert_eq!((read.task_history_limit, read.version), (TASK_HISTORY_MAX, at.lamport));
    assert_eq!(read.updated_wall_ms, 7);
    let more = TaskHistory { limit: TASK_HISTORY_MAX + 1 };
    member.edit(key, Facet::TASK_HISTORY, &more, 0);
    assert_harms_only_itself(&member, key, "a task history limit");
    assert_eq!(fleet_settings(&member).task_history_limit, TASK_HISTORY_DEFAULT);
}

#[test]
fn an_image_beyond_a_limit_is_not_read() {
    let mut member = replica(1, 1);
    let key = RecordKey::image("a/b:1");
    let life = Life::Present { name: "a/b:1".into(), created: member.next_stamp() };
    member.edit(key, Facet::LIFE, &life, 0);
    let fact = ImageFact { digest: "x".repeat(300), platforms: Vec::new(), size_bytes: u64::MAX };
    member.edit(key, Facet::IMAGE, &fact, 0);
    assert_harms_only_itself(&member, key, "an image");
    assert_eq!(FleetImage::named(&member, "a/b:1"), None);
}

#[test]
fn the_defaults_are_within_their_limits() {
    let mut member = replica(1, 1);
    create(&mut member, SOUND, "web.1");
    let key = RecordKey::service(SOUND);
    let template = Template {
        stop_grace_ms: DURATION_MS_MAX,
        container: Container { oom_score_adj: 1_000, ..Container::default() },
        ..Template::default()
    };
    member.edit(key, Facet::TEMPLATE, &StoredTemplate(template.clone()), 0);
    member.edit(key, Facet::SCALE, &Scale::Global, 0);
    member.put_owned(RecordKey::node(member.me()), &description(&member), 0);
    assert_eq!((member.unfit().count(), services(&member).len()), (0, 1));
    assert!(wire::encode(&template).len() < 200);
}
