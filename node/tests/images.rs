//! Images between whole agents on loopback and Debian's `docker-registry`, whose log counts every
//! read. Needs `docker-registry`; see `cargo xtask setup`.

#[path = "images/clients.rs"]
mod clients;
#[path = "../../runtime/tests/registry/real.rs"]
mod real;
#[path = "images/site.rs"]
mod site;

use std::path::Path;
use std::time::{Duration, Instant};

use gossip::MemberState;
use node_agent::Agent;
use node_agent::config::{Config, ConfigKey, FleetKey, JoinAddr};
use node_agent::images::{PinSource, PullRequest, PushEvent};
use real::Registry;
use runtime::image::{Digest, Image, Images, Origin, PullError, PullImage, Reference, platform};

/// Enough for a machine that compiles at the same time.
const DEADLINE: Duration = Duration::from_secs(60);

fn config(dir: &Path, name: &str, join: &[&Agent]) -> Config {
    let flags = [
        (ConfigKey::DataDir, dir.join(name).display().to_string()),
        (ConfigKey::Socket, dir.join(format!("{name}.sock")).display().to_string()),
        (ConfigKey::Listen, "127.0.0.1:0".to_owned()),
        (ConfigKey::Hostname, name.to_owned()),
    ];
    let mut config = Config::from_sources(None, |_| None, &flags).expect("a configuration");
    config.fleet_key = Some(FleetKey::from_bytes([5; 32]));
    let addr = |agent: &&Agent| agent.handle().local_addr().to_string().parse::<JoinAddr>();
    config.join = join.iter().map(|agent| addr(agent).expect("an address")).collect();
    config.docker_config = Some(dir.join("no-logins.json"));
    config
}

/// Agents that know each other.
async fn fleet(dir: &Path, count: usize) -> Vec<Agent> {
    fleet_of(count, |number, join| config(dir, &format!("n{number}"), join)).await
}

/// The same, each with its own configuration.
async fn fleet_of(count: usize, config: impl Fn(usize, &[&Agent]) -> Config) -> Vec<Agent> {
    let mut agents: Vec<Agent> = Vec::new();
    for number in 0..count {
        let first: Vec<&Agent> = agents.iter().take(1).collect();
        let config = config(number, &first);
        agents.push(Agent::start(config, None).await.unwrap_or_else(|error| panic!("{error}")));
    }
    let begun = Instant::now();
    for agent in &agents {
        loop {
            let alive = agent.handle().read(|node| {
                let members = node.gossip().members();
                let alive = members.filter(|member| member.state == MemberState::Alive).count();
                // Their names are known too.
                alive.min(node.report(gossip::Now::START).nodes().len().saturating_sub(1))
            });
            if alive.await.expect("the agent lives") == count - 1 {
                break;
            }
            assert!(begun.elapsed() < DEADLINE, "they find each other");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
    agents
}

async fn stop(agents: Vec<Agent>) {
    for agent in agents {
        agent.stop().await;
    }
}

fn images(agent: &Agent) -> &Images {
    agent.handle().puller().images()
}

fn reference(text: &str) -> Reference {
    text.parse().expect("a reference")
}

/// Pseudo-random bytes, which differ for each seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An image whose layers are no tar archives, which is not noticed before it runs. Returns the
/// digests of its manifest and of its layers.
fn make(images: &Images, name: &str, architecture: &str, sizes: &[usize]) -> (Digest, Vec<Digest>) {
    let layers: Vec<Digest> = (1..)
        .zip(sizes)
        .map(|(seed, size)| images.keep(&noise(seed, *size)).expect("kept"))
        .collect();
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("\"{layer}\"")).collect();
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    let config_digest = images.keep(config.as_bytes()).expect("kept");
    let parts: Vec<String> = layers
        .iter()
        .zip(sizes)
        .map(|(digest, size)| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":{size}}}"#
            )
        })
        .collect();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{}]}}"#,
        config.len(),
        parts.join(",")
    );
    let manifest = images.keep(manifest.as_bytes()).expect("kept");
    images.set_name(&reference(name), &manifest, Origin::Loaded).expect("named");
    (manifest, layers)
}

/// Makes an image outside of the agents and pushes it.
async fn publish(
    dir: &Path,
    name: &str,
    architecture: &str,
    sizes: &[usize],
) -> (Digest, Vec<Digest>) {
    let builder =
        Agent::start(config(dir, "maker", &[]), None).await.unwrap_or_else(|e| panic!("{e}"));
    let made = make(images(&builder), name, architecture, sizes);
    let (events, mut said) = tokio::sync::mpsc::unbounded_channel();
    let pushed = builder.handle().puller().push(&reference(name), None, events).await;
    assert_eq!(pushed.expect("pushed").digest, made.0);
    let mut sent = 0;
    while let Some(event) = said.recv().await {
        sent += usize::from(matches!(event, PushEvent::Sent(_)));
    }
    assert_eq!(sent, sizes.len() + 1, "the layers and the configuration");
    builder.stop().await;
    made
}

fn here() -> String {
    platform::this_node().arch
}

async fn pull(agent: &Agent, name: &str) -> Result<Image, PullError> {
    agent.handle().puller().pull(&reference(name), &|_| {}).await
}

#[tokio::test]
async fn one_node_of_a_site_reads_each_blob_from_the_registry_and_the_others_take_it_from_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::plain().await;
    let name = format!("{}/shop/till:1", registry.host);
    let (digest, layers) = publish(dir.path(), &name, &here(), &[3_000_000, 2_000_000, 10]).await;
    let agents = fleet(dir.path(), 3).await;
    let pinned = format!("{name}@{digest}");
    let pulled = futures_util::future::join_all(agents.iter().map(|agent| pull(agent, &pinned)));
    for image in pulled.await {
        let image = image.expect("everybody has it");
        assert_eq!(image.manifest, digest);
    }
    for layer in &layers {
        assert_eq!(registry.reads(&format!("blobs/{layer}")), 1, "{layer} crosses the uplink once");
    }
    assert_eq!(registry.reads(&format!("manifests/{digest}")), 1);
    // An image that is here costs no packet: the registry and the other agents are gone.
    drop(registry);
    let mut agents = agents;
    let last = agents.pop().expect("three");
    stop(agents).await;
    pull(&last, &pinned).await.expect("it is here");
    pull(&last, &name).await.expect("by its name too");
    last.stop().await;
}

#[tokio::test]
async fn an_image_of_the_fleet_needs_no_registry() {
    let dir = tempfile::tempdir().expect("a folder");
    let agents = fleet(dir.path(), 4).await;
    let puller = agents[0].handle().puller();
    let (digest, _) = make(images(&agents[0]), "app:1", &here(), &[500_000, 40_000]);
    let (pinned, edit) = puller.announcement(&reference("app:1")).await.expect("it is here");
    assert_eq!((pinned.digest, pinned.platforms), (digest.clone(), vec![platform::this_node()]));
    agents[0].handle().edit(edit).await.expect("the agent lives").expect("taken");
    let copies = puller.copy_out(&reference("app:1"), &digest).await;
    assert_eq!((copies.kept.len(), copies.failed.len()), (2, 0), "{copies:?}");
    let holders = agents.iter().filter(|agent| images(agent).has_blob(&digest).is_some()).count();
    assert_eq!(holders, 3, "its maker and two more");

    // The builder is gone; all others still get the image by its name alone.
    let mut agents = agents;
    agents.remove(0).stop().await;
    let begun = Instant::now();
    for agent in &agents {
        loop {
            let resolved = agent.handle().resolve(&reference("app:1"), None).await;
            if resolved.is_ok_and(|pinned| pinned.source == PinSource::Fleet) {
                break;
            }
            assert!(begun.elapsed() < DEADLINE, "the record travels");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let image = pull(agent, "app:1").await.expect("from a peer");
        assert_eq!(image.manifest, digest);
    }
    stop(agents).await;
}

#[tokio::test]
async fn a_corrupt_layer_is_refused_and_taken_once_it_is_mended() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::plain().await;
    let name = format!("{}/shop/till:1", registry.host);
    let (_, layers) = publish(dir.path(), &name, &here(), &[300_000]).await;
    let path = registry.blob(layers[0].as_str());
    let right = std::fs::read(&path).expect("the registry keeps it there");
    let mut wrong = right.clone();
    wrong[150_000] ^= 1;
    std::fs::write(&path, wrong).expect("damaged");
    let agents = fleet(dir.path(), 1).await;
    let error = pull(&agents[0], &name).await.expect_err("it is damaged");
    assert!(matches!(&error, PullError::Corrupt { digest, .. } if *digest == layers[0]), "{error}");
    assert!(images(&agents[0]).has_blob(&layers[0]).is_none(), "nothing wrong is kept");
    std::fs::write(&path, right).expect("mended");
    again(&agents[0], &name).await;
    stop(agents).await;
}

/// Tries until the image is here, as node-core does.
async fn again(agent: &Agent, name: &str) -> Image {
    let begun = Instant::now();
    loop {
        match pull(agent, name).await {
            Ok(image) => return image,
            Err(error) => assert!(begun.elapsed() < DEADLINE, "still: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_image_for_other_machines_is_told_as_such() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::plain().await;
    let name = format!("{}/shop/till:1", registry.host);
    publish(dir.path(), &name, "s390x", &[1_000]).await;
    let agents = fleet(dir.path(), 1).await;
    let error = pull(&agents[0], &name).await.expect_err("no build for this machine");
    assert!(error.to_string().contains("s390x"), "{error}");
    let pinned = agents[0].handle().resolve(&reference(&name), None).await.expect("it exists");
    assert_eq!(pinned.platforms[0].arch, "s390x");
    stop(agents).await;
}

#[tokio::test]
async fn an_unknown_image_and_a_silent_registry_have_their_own_reasons() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::plain().await;
    let agents = fleet(dir.path(), 1).await;
    let unknown = format!("{}/shop/nothing:1", registry.host);
    let error = pull(&agents[0], &unknown).await.expect_err("there is none");
    assert!(error.to_string().contains("does not have shop/nothing:1"), "{error}");
    let host = registry.host.clone();
    drop(registry);
    let error = pull(&agents[0], &format!("{host}/shop/till:1")).await.expect_err("nobody");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    stop(agents).await;
}

#[tokio::test]
async fn while_fetching_is_paused_nothing_is_fetched_and_what_is_here_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::plain().await;
    let name = format!("{}/shop/till:1", registry.host);
    publish(dir.path(), &name, &here(), &[1_000]).await;
    let agents = fleet(dir.path(), 1).await;
    make(images(&agents[0]), "local:1", &here(), &[5_000]);
    agents[0].handle().puller().pause();
    let error = pull(&agents[0], &name).await.expect_err("it is paused");
    assert!(matches!(error, PullError::Paused(_)), "{error}");
    assert_eq!(registry.reads("manifests"), 0);
    pull(&agents[0], "local:1").await.expect("it is here");
    agents[0].handle().puller().resume();
    pull(&agents[0], &name).await.expect("fetched");
    stop(agents).await;
}

#[tokio::test]
async fn a_pull_by_tag_follows_the_tag_and_a_task_keeps_what_it_has() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::plain().await;
    let name = format!("{}/shop/till:1", registry.host);
    let (old, _) = publish(dir.path(), &name, &here(), &[1_000]).await;
    let agents = fleet(dir.path(), 1).await;
    assert_eq!(pull(&agents[0], &name).await.expect("fetched").manifest, old);
    let (new, _) = publish(dir.path(), &name, &here(), &[2_000]).await;
    assert_eq!(pull(&agents[0], &name).await.expect("it is here").manifest, old);
    let named = reference(&name);
    let request =
        PullRequest { reference: &named, login: None, origin: Origin::Pulled, events: None };
    let pulled = agents[0].handle().puller().fetch(request).await.expect("pulled");
    assert_eq!(pulled.manifest, new);
    stop(agents).await;
}
