//! The uplink of a site: each image is fetched once per site, within the rate, even if the node
//! that fetches it dies in the middle.

use std::time::{Duration, Instant};

use node_agent::Agent;

use crate::real::Registry;
use crate::{DEADLINE, config, fleet_of, here, publish, pull, stop};

/// The rate in bytes per second; a blob takes three seconds.
const RATE: u64 = 1_000_000;
const BLOB: usize = 3_000_000;

#[tokio::test]
async fn each_site_reads_a_blob_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::plain().await;
    let name = format!("{}/shop/till:1", registry.host);
    let (digest, layers) = publish(dir.path(), &name, &here(), &[500_000]).await;
    let agents = fleet_of(4, |number, join| {
        let mut config = config(dir.path(), &format!("n{number}"), join);
        let site = if number < 2 { "harbour" } else { "ferry" };
        config.labels.insert("site".to_owned(), site.to_owned());
        config
    })
    .await;
    let pinned = format!("{name}@{digest}");
    let pulled = futures_util::future::join_all(agents.iter().map(|agent| pull(agent, &pinned)));
    for image in pulled.await {
        image.expect("everybody has it");
    }
    assert_eq!(registry.reads(&format!("blobs/{}", layers[0])), 2, "one read per site");
    stop(agents).await;
}

#[tokio::test]
async fn a_fetcher_that_dies_is_followed_by_another_that_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::plain().await;
    let name = format!("{}/shop/till:1", registry.host);
    let (digest, layers) = publish(dir.path(), &name, &here(), &[BLOB]).await;
    let mut agents = fleet_of(3, |number, join| {
        let mut config = config(dir.path(), &format!("n{number}"), join);
        config.blob_rate_limit = Some(RATE);
        config
    })
    .await;
    let pinned = format!("{name}@{digest}");
    let begun = Instant::now();
    let pulling: Vec<_> = agents
        .iter()
        .map(|agent| {
            let (puller, named) = (agent.handle().puller().clone(), crate::reference(&pinned));
            tokio::spawn(async move {
                use runtime::image::PullImage;
                puller.pull(&named, &|_| {}).await
            })
        })
        .collect();
    // The agent that reads from the registry, once a third of the blob has arrived.
    let of_uplink = |agent: &Agent| {
        let pulls = agent.handle().puller().pulls();
        pulls.iter().any(|pull| {
            pull.digest == layers[0]
                && pull.received > BLOB as u64 / 3
                && pull.from.contains(&registry.host)
        })
    };
    let fetcher = loop {
        if let Some(found) = agents.iter().position(of_uplink) {
            break found;
        }
        assert!(begun.elapsed() < DEADLINE, "somebody fetches");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    agents.remove(fetcher).stop().await;
    for (number, pulling) in pulling.into_iter().enumerate() {
        let pulled = tokio::time::timeout(DEADLINE, pulling).await.expect("in time");
        if number != fetcher {
            pulled.expect("it does not panic").expect("it comes all the same");
        }
    }
    // The whole blob passed through one node's share of the uplink, minus the quarter of a second
    // that was available at once.
    let least = Duration::from_secs_f64(BLOB as f64 / RATE as f64 * 0.5);
    assert!(begun.elapsed() > least, "the rate is kept: {:?}", begun.elapsed());
    assert_eq!(registry.reads(&format!("blobs/{}", layers[0])), 2, "one more node asked");
    let resumed = registry.partial_reads(&format!("blobs/{}", layers[0]));
    assert_eq!(resumed, 1, "what had come is not asked for again");
    stop(agents).await;
}
