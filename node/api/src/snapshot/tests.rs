//! A real agent, alone and without tasks: readers share its snapshot and are notified of changes.

use std::time::Duration;

use crdt_state::spec::{Scale, Template};
use futures_util::future::join_all;
use node_agent::Agent;
use node_agent::config::{Config, ConfigKey, FleetKey};
use node_core::{Edit, ServiceSpec};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use super::*;
use crate::latest::AGE_MAX;
use crate::recent::Recent;

/// Enough for a machine that compiles at the same time.
const DEADLINE: Duration = Duration::from_secs(30);

async fn lone_agent() -> (TempDir, Agent, Api) {
    let dir = tempfile::tempdir().expect("a directory");
    let flags = [
        (ConfigKey::DataDir, dir.path().join("data").display().to_string()),
        (ConfigKey::Socket, dir.path().join("socket").display().to_string()),
        (ConfigKey::Listen, "127.0.0.1:0".to_owned()),
        (ConfigKey::Hostname, "n1".to_owned()),
    ];
    let mut config = Config::from_sources(None, |_| None, &flags).expect("a configuration");
    config.fleet_key = Some(FleetKey::from_bytes([5; 32]));
    let agent = Agent::start(config, None).await.unwrap_or_else(|error| panic!("{error}"));
    let api = Api::new(agent.handle().clone(), Recent::new());
    (dir, agent, api)
}

/// Makes a service without tasks.
async fn create(api: &Api, name: &str) {
    let spec = ServiceSpec {
        name: name.to_owned(),
        template: Template { command: vec!["/bin/true".to_owned()], ..Template::default() },
        scale: Scale::Replicated { replicas: 0 },
        placement: Default::default(),
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
    };
    assert!(api.edit(Edit::CreateService(Box::new(spec))).await.is_ok());
}

#[tokio::test]
async fn a_burst_of_readers_without_a_change_makes_one_snapshot() {
    let (_dir, agent, api) = lone_agent().await;
    let deadline = Instant::now() + DEADLINE;
    // An agent that has just started still changes, and a slow machine may take longer than a
    // snapshot is served: then the loop tries again.
    loop {
        assert!(Instant::now() < deadline, "the agent never rests");
        let (begun, changes) = (Instant::now(), api.handle.changes());
        let (revision, made) = (changes.revision(), api.snapshots.made());
        let read = join_all((0..200).map(|_| Snapshot::latest(&api))).await;
        assert!(read.iter().all(Result::is_ok));
        if changes.revision() == revision && begun.elapsed() < AGE_MAX / 2 {
            // None is made if one of this revision is still served.
            assert!(api.snapshots.made() - made <= 1);
            break;
        }
    }
    agent.stop().await;
}

#[tokio::test]
async fn whoever_made_a_change_sees_it() {
    let (_dir, agent, api) = lone_agent().await;
    for number in 0..20 {
        let name = format!("web-{number}");
        create(&api, &name).await;
        let snapshot = Snapshot::latest(&api).await;
        assert!(snapshot.is_ok_and(|snapshot| snapshot.service(&name).is_ok()), "{name}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_waiter_is_woken_by_a_change_and_copies_nothing_before() {
    let (_dir, agent, api) = lone_agent().await;
    let waiter = {
        let (api, mut changes) = (api.clone(), api.handle.changes());
        let first = changes.revision();
        tokio::spawn(async move {
            let mut looks = 0;
            loop {
                let snapshot = Snapshot::latest(&api).await?;
                looks += 1;
                if snapshot.service("web").is_ok() {
                    return Ok::<_, Failure>((looks, changes.revision() - first));
                }
                changes.next().await?;
            }
        })
    };
    create(&api, "web").await;
    let woken = timeout(DEADLINE, waiter).await.expect("in time").expect("it does not panic");
    let (looks, changes) = woken.unwrap_or_else(|_| panic!("the agent lives"));
    assert!(looks <= changes + 1, "{looks} looks at {changes} changes");
    agent.stop().await;
}

#[tokio::test]
async fn a_waiter_ends_with_the_agent() {
    let (_dir, agent, api) = lone_agent().await;
    let mut changes = api.handle.changes();
    let waiter = tokio::spawn(async move { while changes.next().await.is_ok() {} });
    agent.stop().await;
    timeout(DEADLINE, waiter).await.expect("in time").expect("it does not panic");
}
