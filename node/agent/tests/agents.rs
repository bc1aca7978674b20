//! Whole agents without their API, on loopback: they find each other, agree, and come back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chaos::replay::{Stopped, replay};
use chaos::trace::Echo;
use crdt_state::StoreId;
use crdt_state::schedule::Schedule;
use crdt_state::spec::{Placement, RestartCondition, Scale, Template};
use gossip::MemberState;
use node_agent::config::{Config, ConfigKey, FleetKey, JoinAddr};
use node_agent::{Agent, AgentStartError};
use node_core::history::{self, Entry};
use node_core::{Edit, Edited, Input, Node, ServiceSpec};

/// Enough for a machine that compiles at the same time; an idle one needs 2 s.
const DEADLINE: Duration = Duration::from_secs(30);

fn config(dir: &Path, name: &str, join: &[&Agent]) -> Config {
    let flags = [
        (ConfigKey::DataDir, dir.join(name).display().to_string()),
        (ConfigKey::Socket, dir.join(format!("{name}.sock")).display().to_string()),
        (ConfigKey::Listen, "127.0.0.1:0".to_owned()),
        (ConfigKey::Hostname, name.to_owned()),
    ];
    let mut config = Config::from_sources(None, |_| None, &flags).expect("a configuration");
    config.fleet_key = Some(FleetKey::from_bytes([5; 32]));
    config.join = join.iter().map(|agent| join_addr(agent)).collect();
    config
}

fn join_addr(agent: &Agent) -> JoinAddr {
    agent.handle().local_addr().to_string().parse().expect("an address")
}

async fn start(config: Config) -> Agent {
    Agent::start(config, None).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Checks every agent until the condition holds on all.
async fn until(
    agents: &[&Agent],
    what: &str,
    holds: impl Fn(&Node) -> bool + Copy + Send + 'static,
) {
    let begun = Instant::now();
    loop {
        let mut all = true;
        for agent in agents {
            all &= agent.handle().read(holds).await.expect("the agent lives");
        }
        if all {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn alive(node: &Node) -> usize {
    node.gossip().members().filter(|member| member.state == MemberState::Alive).count()
}

/// A service without tasks: these agents have no program that could be a monitor.
fn service(name: &str) -> Edit {
    Edit::CreateService(Box::new(ServiceSpec {
        name: name.to_owned(),
        template: Template { command: vec!["/bin/true".to_owned()], ..Template::default() },
        scale: Scale::Replicated { replicas: 0 },
        placement: Placement::default(),
        update_policy: Default::default(),
        relations: Default::default(),
        update_rules: Default::default(),
        rollback_policy: Default::default(),
        partition: Default::default(),
        schedule: None,
        autoscale: None,
        endpoint: Default::default(),
        networks: Vec::new(),
        by_name: false,
        labels: Default::default(),
    }))
}

async fn create(agent: &Agent, name: &str) {
    let edited = agent.handle().edit(service(name)).await.expect("the agent lives");
    assert!(matches!(edited, Ok(Edited::Service(_))), "{edited:?}");
}

#[tokio::test]
async fn a_lone_agent_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = start(config(dir.path(), "n1", &[])).await;
    let me = first.handle().me();
    create(&first, "web").await;
    first.stop().await;
    let again = start(config(dir.path(), "n1", &[])).await;
    assert_eq!(again.handle().me(), me);
    let names = again.handle().read(|node| node.services().map(|s| s.name.clone()).collect());
    let names: Vec<String> = names.await.expect("the agent lives");
    assert_eq!(names, ["web"]);
    again.stop().await;
}

async fn store_id(agent: &Agent) -> StoreId {
    agent.handle().read(|node| node.replica().writer().store).await.expect("the agent lives")
}

#[tokio::test]
async fn an_older_copy_of_the_store_is_read_and_written_under_a_new_id() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("n1").join(node_agent::store::STORE_FILE);
    let copy = dir.path().join("copy");
    let first = start(config(dir.path(), "n1", &[])).await;
    let id = store_id(&first).await;
    create(&first, "web").await;
    first.stop().await;
    std::fs::copy(&store, &copy).expect("copied");
    let second = start(config(dir.path(), "n1", &[])).await;
    assert_eq!(store_id(&second).await, id, "the same store");
    create(&second, "db").await;
    second.stop().await;
    std::fs::copy(&copy, &store).expect("restored");
    let third = start(config(dir.path(), "n1", &[])).await;
    let restored = store_id(&third).await;
    assert_ne!(restored, id, "it would sign with counters that it has used");
    until(&[&third], "what the copy has", |node| node.services().count() == 1).await;
    third.stop().await;
    let fourth = start(config(dir.path(), "n1", &[])).await;
    assert_eq!(store_id(&fourth).await, restored, "from then on it is the store");
    fourth.stop().await;
}

#[tokio::test]
async fn agents_tell_each_other_their_clocks_while_a_job_has_a_schedule() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = start(config(dir.path(), "n1", &[])).await;
    let second = start(config(dir.path(), "n2", &[&first])).await;
    until(&[&first, &second], "they know each other", |node| alive(node) == 1).await;
    create(&first, "web").await;
    let Edit::CreateService(mut job) = service("job") else { unreachable!("it creates") };
    job.scale = Scale::JobGlobal;
    job.template.restart.condition = RestartCondition::OnFailure;
    let [cron, zone] = ["0 0 29 2 *", "UTC"].map(str::to_owned);
    job.schedule = Some(Schedule { cron, zone, ..Schedule::default() });
    let made = second.handle().edit(Edit::CreateService(job)).await.expect("the agent lives");
    assert!(matches!(made, Ok(Edited::Service(_))), "{made:?}");
    until(&[&first, &second], "each knows the other's clock", |node| node.clocks_known() == 1)
        .await;
    let schedule = |node: &Node| {
        let job = node.services().find(|service| service.schedule.is_some()).expect("it is there");
        node.report(gossip::Now(0)).schedule(job).expect("it has one")
    };
    for agent in [&first, &second] {
        let said = agent.handle().read(schedule).await.expect("the agent lives");
        assert_eq!(said.fault, None, "they are of one machine");
        assert!(said.next.is_some_and(|next| next.ends_with("02-29 00:00 UTC")));
    }
    first.stop().await;
    second.stop().await;
}

/// Why a replay of an agent's history stopped, if it did; `damage` changes the entries before.
fn stopped(history: &Path, damage: impl Fn(&mut Vec<Entry>)) -> Option<Stopped> {
    let mut entries = history::decode(&std::fs::read(history).expect("a file")).expect("a history");
    damage(&mut entries);
    replay(entries, Echo::Silent).stopped
}

#[tokio::test]
async fn the_history_of_an_agent_replays_to_the_same_state() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut recorded = config(dir.path(), "n1", &[]);
    let history = dir.path().join("n1.history");
    recorded.history = Some(history.clone());
    let first = start(recorded.clone()).await;
    let second = start(config(dir.path(), "n2", &[&first])).await;
    create(&first, "web").await;
    create(&second, "db").await;
    until(&[&first, &second], "both know both", |node| node.services().count() == 2).await;
    first.stop().await;
    second.stop().await;
    assert_eq!(stopped(&history, |_| ()), None);
    // The same, starting with the records of a store.
    let again = start(recorded).await;
    create(&again, "cache").await;
    let digest = again.handle().read(|node| node.replica().digest()).await.expect("it lives");
    again.stop().await;
    let entries = history::decode(&std::fs::read(&history).expect("a file")).expect("a history");
    let report = replay(entries, Echo::Silent);
    assert_eq!((report.stopped, report.digest), (None, Some(digest)));
    // A missing fact and a foreign signature are detected.
    let is_edit = |entry: &Entry| matches!(entry, Entry::Input { input, .. } if matches!(**input, Input::Edit { .. }));
    let missing = stopped(&history, |entries| entries.retain(|entry| !is_edit(entry)));
    assert!(matches!(missing, Some(Stopped::Diverged(_))), "{missing:?}");
    let forged = stopped(&history, |entries| {
        let signed = entries.iter_mut().rev().find_map(|entry| match entry {
            Entry::Signed(signature) => Some(signature),
            _ => None,
        });
        signed.expect("something was signed").0[0] ^= 1;
    });
    assert!(matches!(forged, Some(Stopped::Diverged(_))), "{forged:?}");
}

#[tokio::test]
async fn a_second_agent_in_the_same_directory_or_on_the_same_port_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = start(config(dir.path(), "n1", &[])).await;
    let same_directory = Agent::start(config(dir.path(), "n1", &[]), None).await;
    assert!(matches!(same_directory.err(), Some(AgentStartError::Store(_))));
    let mut same_port = config(dir.path(), "n2", &[]);
    same_port.listen = first.handle().local_addr();
    assert!(matches!(Agent::start(same_port, None).await.err(), Some(AgentStartError::Listen(_))));
    first.stop().await;
}

#[tokio::test]
async fn three_agents_find_each_other_and_agree() {
    let dir = tempfile::tempdir().expect("a directory");
    let a = start(config(dir.path(), "a", &[])).await;
    let b = start(config(dir.path(), "b", &[&a])).await;
    let c = start(config(dir.path(), "c", &[&a])).await;
    until(&[&a, &b, &c], "everybody knows everybody", |node| alive(node) == 2).await;
    create(&b, "web").await;
    create(&c, "api").await;
    until(&[&a, &b, &c], "both services everywhere", |node| node.services().count() == 2).await;
    let mut digests = Vec::new();
    for agent in [&a, &b, &c] {
        let digest = agent.handle().read(|node| node.replica().digest());
        digests.push(digest.await.expect("the agent lives"));
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "the same state everywhere");

    // One agent stops without leaving, misses a change, and starts again from its own disk alone.
    let (port, gone) = (c.handle().local_addr(), c.handle().me());
    c.stop().await;
    let is_gone = move |node: &Node| {
        node.gossip().member(gone).is_some_and(|m| m.state == MemberState::Unreachable)
    };
    until(&[&a, &b], "c is missed", is_gone).await;
    create(&a, "late").await;
    let mut back = config(dir.path(), "c", &[]);
    back.listen = port;
    let c = start(back).await;
    assert_eq!(c.handle().me(), gone);
    until(&[&a, &b, &c], "c is back", |node| alive(node) == 2).await;
    until(&[&c], "c has caught up", |node| node.services().count() == 3).await;
    for agent in [a, b, c] {
        agent.stop().await;
    }
}

#[tokio::test]
async fn another_fleet_is_never_joined() {
    let dir = tempfile::tempdir().expect("a directory");
    let a = start(config(dir.path(), "a", &[])).await;
    let mut other = config(dir.path(), "b", &[&a]);
    other.fleet_key = Some(FleetKey::from_bytes([6; 32]));
    let b = start(other).await;
    let begun = Instant::now();
    loop {
        let counters = a.handle().counters().await.expect("the agent lives");
        if counters.get("transport.dropped.other_fleet").is_some_and(|count| *count > 0) {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "the attempt is counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for agent in [&a, &b] {
        assert_eq!(agent.handle().read(alive).await.expect("the agent lives"), 0);
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_damaged_store_is_replaced_and_filled_by_the_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let a = start(config(dir.path(), "a", &[])).await;
    let b = start(config(dir.path(), "b", &[&a])).await;
    create(&a, "web").await;
    until(&[&a, &b], "web everywhere", |node| node.services().count() == 1).await;
    let me = b.handle().me();
    b.stop().await;
    let store: PathBuf = dir.path().join("b").join(node_agent::store::STORE_FILE);
    std::fs::write(&store, b"torn").expect("damaged");
    let b = start(config(dir.path(), "b", &[&a])).await;
    assert_eq!(b.handle().me(), me, "the key is kept");
    until(&[&b], "b has pulled", |node| node.services().count() == 1).await;
    a.stop().await;
    b.stop().await;
}
