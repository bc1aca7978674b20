//! The images of the fleet, read from their records.

use crate::image::ImageFact;
use crate::key::{Kind, RecordKey};
use crate::replica::Replica;
use crate::spec::{Facet, Life};

/// An image of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetImage {
    /// Its full name with a tag: `docker.io/library/app:1`.
    pub name: String,
    /// The digest and platforms that the name stands for.
    pub fact: ImageFact,
    /// The writer's time of day when it was last pushed, milliseconds since 1970. Display only.
    pub pushed_wall_ms: u64,
}

impl FleetImage {
    /// Reads an image by its name; `None` if there is none or it was removed.
    pub fn named(replica: &Replica, name: &str) -> Option<FleetImage> {
        FleetImage::read(replica, &RecordKey::image(name)).filter(|image| image.name == name)
    }

    fn read(replica: &Replica, key: &RecordKey) -> Option<FleetImage> {
        let Some(Life::Present { name, .. }) = replica.life(key) else { return None };
        let (_, fact) = replica.facet(key, Facet::IMAGE)?;
        let write = replica.record(key)?.as_shared()?.winner(Facet::IMAGE)?;
        Some(FleetImage { name, fact, pushed_wall_ms: write.wall_ms })
    }
}

/// All images of the fleet, by name.
pub fn fleet_images(replica: &Replica) -> Vec<FleetImage> {
    let keys = replica.keys(Kind::IMAGE);
    let mut images: Vec<_> = keys.filter_map(|key| FleetImage::read(replica, &key)).collect();
    images.sort_by(|a, b| a.name.cmp(&b.name));
    images
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::{NodeId, StoreId};
    use crate::signature::{HashSigner, HashVerifier, Signer};
    use crate::stamp::Writer;

    fn replica(seed: u64) -> Replica {
        let signer = HashSigner::from_seed(seed);
        let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
        Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
    }

    fn push(replica: &mut Replica, name: &str, digest: &str) {
        let key = RecordKey::image(name);
        let created = replica.next_stamp();
        replica.edit(key, Facet::LIFE, &Life::Present { name: name.into(), created }, 1);
        let fact = ImageFact { digest: digest.into(), platforms: Vec::new(), size_bytes: 7 };
        replica.edit(key, Facet::IMAGE, &fact, 2);
    }

    fn digest(replica: &Replica, name: &str) -> Option<String> {
        FleetImage::named(replica, name).map(|image| image.fact.digest)
    }

    #[test]
    fn a_name_can_be_pushed_again_after_it_was_removed() {
        let mut replica = replica(1);
        push(&mut replica, "a/b:1", "sha256:one");
        assert_eq!(digest(&replica, "a/b:1").as_deref(), Some("sha256:one"));
        let removed = Life::Removed { name: "a/b:1".into() };
        replica.edit(RecordKey::image("a/b:1"), Facet::LIFE, &removed, 3);
        assert_eq!((digest(&replica, "a/b:1"), fleet_images(&replica)), (None, Vec::new()));
        push(&mut replica, "a/b:1", "sha256:two");
        assert_eq!(digest(&replica, "a/b:1").as_deref(), Some("sha256:two"));
    }

    #[test]
    fn two_sides_that_push_one_name_agree_on_one_digest() {
        let (mut one, mut other) = (replica(1), replica(2));
        push(&mut one, "a/b:1", "sha256:one");
        push(&mut other, "a/b:1", "sha256:two");
        let key = RecordKey::image("a/b:1");
        let (from_one, from_other) = (one.delta([key]), other.delta([key]));
        one.merge(&from_other);
        other.merge(&from_one);
        assert!(digest(&one, "a/b:1").is_some());
        assert_eq!(digest(&one, "a/b:1"), digest(&other, "a/b:1"));
        assert!(!one.conflicts().is_empty(), "the other digest is listed");
    }
}
