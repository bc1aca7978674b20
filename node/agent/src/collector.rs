//! Removes images that no service needs any more from the disk.
//!
//! The current and the previous image of every service stay, and images that run here. The previous
//! ones are remembered in `<images>/kept.json`, which is written only when a service changes its
//! image. It must never remove an image that an operator loaded or pulled: that is for `image rm`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crdt_state::fleet_images;
use crdt_state::service::services;
use crdt_state::spec::Runtime;
use crdt_state::task::Slot;
use runtime::image::{Digest, Images, Reference, Users};
use runtime::run_dir;
use serde::{Deserialize, Serialize};

use super::Handle;

/// Between two rounds. A round reads the names of images and the list of services.
const INTERVAL: Duration = Duration::from_secs(600);
/// Between two rounds of a node whose disk is full, where every start is retried again and again.
const INTERVAL_FULL: Duration = Duration::from_secs(10);
const FILE: &str = "kept.json";

/// The images that the services of the fleet run, and ran before: reference by service id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept(BTreeMap<String, Generations>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Generations {
    current: String,
    previous: Option<String>,
}

impl Kept {
    /// Makes the images that services run now current; a current image that differs becomes the
    /// previous.
    fn follow(&mut self, now: &BTreeMap<String, String>) {
        self.0.retain(|service, _| now.contains_key(service));
        for (service, image) in now {
            let kept = self.0.entry(service.clone()).or_default();
            if kept.current != *image {
                let before = std::mem::replace(&mut kept.current, image.clone());
                kept.previous = Some(before).filter(|before| !before.is_empty());
            }
        }
    }

    fn references(&self) -> impl Iterator<Item = &str> {
        self.0
            .values()
            .flat_map(|kept| std::iter::once(kept.current.as_str()).chain(kept.previous.as_deref()))
    }
}

/// Collects from time to time, as long as the agent lives, and when something did not fit on the
/// disk.
pub(super) async fn collect(handle: Handle) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::time::sleep(pause).await;
        pause = INTERVAL_FULL;
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = handle.puller().disk_filled() => {}
        }
        let running = handle.read(|node| {
            let all = services(node.replica()).into_iter();
            let containers = all.filter(|service| service.template.runtime == Runtime::Container);
            let running = containers.map(|s| (s.id.to_string(), s.template.image)).collect();
            let of_fleet = fleet_images(node.replica()).into_iter().map(|image| image.fact.digest);
            (running, of_fleet.collect::<Vec<_>>())
        });
        let Ok((running, of_fleet)) = running.await else { return };
        let images = handle.images().clone();
        let runs = handle.runs().to_owned();
        let folder = handle.config().data_dir.join("images");
        let collected = tokio::task::spawn_blocking(move || {
            collect_once(&images, &folder, &runs, &running, &of_fleet)
        })
        .await;
        match collected {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(bytes)) => tracing::info!(bytes, "images that no service needs were removed"),
            Ok(Err(error)) => tracing::warn!("images are not cleared away: {error}"),
        }
    }
}

/// One round; returns how many bytes it freed.
fn collect_once(
    images: &Images,
    folder: &Path,
    runs: &Path,
    running: &BTreeMap<String, String>,
    of_fleet: &[String],
) -> Result<u64, anyhow::Error> {
    if images.names().is_empty() {
        return Ok(0);
    }
    let before: Kept = run_dir::read(folder, FILE).ok().flatten().unwrap_or_default();
    let mut kept = before.clone();
    kept.follow(running);
    if kept != before {
        run_dir::write(folder, FILE, &kept)?;
    }
    let digest = |text: &str| digest_of(images, text);
    let mut keep: BTreeSet<Digest> = kept.references().filter_map(digest).collect();
    // A node that has an image of the fleet keeps it for the others.
    keep.extend(of_fleet.iter().filter_map(|digest| digest.parse().ok()));
    keep.extend(users(images, runs).into_keys());
    Ok(images.collect(&keep)?.bytes)
}

fn digest_of(images: &Images, text: &str) -> Option<Digest> {
    images.digest_of(&text.parse::<Reference>().ok()?).map(|named| named.digest)
}

/// The images that the runs of this node use, read from their folders: also runs of an earlier
/// agent, and those of containers made by hand that have ended, which may be started again.
pub fn users(images: &Images, runs: &Path) -> Users {
    let mut users = Users::new();
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        let dir = entry.path();
        let is_over = dir.join(run_dir::FINAL_STATUS).exists();
        let Ok(bytes) = std::fs::read(dir.join(run_dir::ORDER)) else { continue };
        let Ok(order) = run_dir::parse_order(&bytes) else { continue };
        let start = order.start;
        let is_standalone = start.template.is_standalone();
        if is_over && !is_standalone {
            continue;
        }
        if let Some(digest) = digest_of(images, &start.template.image) {
            let name = match start.slot {
                _ if is_standalone => start.service_name,
                Slot::Number(number) => format!("{}.{number}", start.service_name),
                Slot::Node(_) => start.service_name,
            };
            let all: &mut String = users.entry(digest).or_default();
            if all.is_empty() {
                *all = name;
            } else if !all.split(", ").any(|known| known == name) {
                *all = format!("{all}, {name}");
            }
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(image: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("web".to_owned(), image.to_owned())])
    }

    #[test]
    fn a_service_keeps_its_current_and_its_previous_image() {
        let mut kept = Kept::default();
        for image in ["app:1", "app:1", "app:2", "app:3"] {
            kept.follow(&now(image));
        }
        assert_eq!(kept.references().collect::<Vec<_>>(), ["app:3", "app:2"]);
        kept.follow(&BTreeMap::new());
        assert_eq!(kept, Kept::default(), "a service that is gone keeps nothing");
    }
}
