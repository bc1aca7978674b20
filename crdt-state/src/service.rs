//! Services, read from their records. Facets that are missing read as their defaults, which are
//! never written.
//!
//! Also the rule for names: two sides of a partition may create the same name, and every node
//! computes the same owner of it.

mod rollout;

use std::collections::BTreeMap;

use crate::autoscale::{Autoscale, DeclaredCount};
use crate::id::ServiceId;
use crate::key::{Kind, RecordKey};
use crate::labels::labels;
use crate::network::{Attachments, Balancing};
use crate::partition::Partition;
use crate::previous::{Previous, RanImage};
use crate::read::{self, declared_count, failures_of, runs_of};
use crate::record::Record;
use crate::relation::Relations;
use crate::replica::Replica;
use crate::rollout::{RollbackPolicy, Steering, UpdateRules};
use crate::schedule::{Scheduled, ScheduledRun, latest_run};
use crate::spec::{
    Endpoint, Facet, Labels, Life, Placement, Scale, StoredTemplate, Template, TemplateVersion,
    UpdatePolicy,
};
use crate::stamp::Stamp;
use crate::wire;

use rollout::Begun;

pub use rollout::Rollout;

/// A living service, as operators wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its name; see [`name_owner`] for several services with one name.
    pub name: String,
    /// When it was created: defines its age among services.
    pub created: Stamp,
    /// The template of its tasks.
    pub template: Template,
    /// The version of `template`; of a job with a schedule, of the run of it that counts.
    pub template_version: TemplateVersion,
    /// When `template` was written; if it was never written, when the service was created.
    pub template_stamp: Stamp,
    /// The template that ran healthy before `template` was written, unless they are the same. Slots
    /// whose turn in the rollout has not come run it when their tasks are started again.
    pub last_good: Option<(TemplateVersion, Template)>,
    /// The writer's time of day when `template` was written, milliseconds since 1970. Display only.
    pub template_wall_ms: u64,
    /// The service before its last edit, if it was edited and that is known.
    pub previous: Option<Box<Previous>>,
    /// Mode and replicas in force: of a service that is scaled by its load, the count that was
    /// declared.
    pub scale: Scale,
    /// Mode and replicas as operators wrote them; one replica unless written.
    pub written_scale: Scale,
    /// Between which numbers, and by what, it is scaled.
    pub autoscale: Option<Autoscale>,
    /// The count of it that was declared last.
    pub declared: Option<DeclaredCount>,
    /// Where tasks may run.
    pub placement: Placement,
    /// What it has to do with other services.
    pub relations: Relations,
    /// How a new template is rolled out.
    pub update_policy: UpdatePolicy,
    /// What a rollout tolerates, and what it waits for.
    pub update_rules: UpdateRules,
    /// How an earlier template is rolled out.
    pub rollback_policy: RollbackPolicy,
    /// What becomes of its tasks in a partition.
    pub partition: Partition,
    /// What is known of the rollout of `template`.
    pub rollout: Rollout,
    /// When it runs, if it is a job with a schedule.
    pub schedule: Option<Scheduled>,
    /// The latest run that was declared of it, also of an earlier template.
    pub run: Option<ScheduledRun>,
    /// It has a schedule, and no run of its template was declared yet: nothing of it begins.
    pub awaits_run: bool,
    /// Ports.
    pub endpoint: Endpoint,
    /// Its networks; none: those of its template, the node's own or a loopback.
    pub networks: Attachments,
    /// Its networks before its last edit.
    pub previous_networks: Attachments,
    /// How its name is answered on them.
    pub balancing: Balancing,
    /// Labels.
    pub labels: Labels,
    /// The highest Lamport counter over all facets, and over the verdict on its rollout: Docker's `Version.Index`.
    pub version: u64,
    /// The writer's time of day at that write, milliseconds since 1970. Display only.
    pub updated_wall_ms: u64,
    /// The writer's time of day when the name was written. Display only.
    pub created_wall_ms: u64,
}

impl TemplateVersion {
    /// The version of a template, from its encoding: the same on every node, whoever wrote it.
    pub fn of(template: &Template) -> TemplateVersion {
        let properties = template.extension.properties();
        // Without an extension it is what it was before there were any: an agent that learns of
        // them rolls out nothing.
        let beyond = if properties.is_empty() { Vec::new() } else { wire::encode(&properties) };
        TemplateVersion::of_encoded(template, &beyond)
    }

    /// The version that a template has without its extension.
    pub fn of_stored(template: &Template) -> TemplateVersion {
        TemplateVersion::of_encoded(template, &[])
    }

    fn of_encoded(template: &Template, beyond: &[u8]) -> TemplateVersion {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl template version 1");
        hasher.update(&wire::encode(&StoredTemplate(template.clone())));
        hasher.update(beyond);
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        TemplateVersion(u64::from_be_bytes(first))
    }
}

impl Service {
    /// Reads a service; `None` if there is none, it was removed, its life is not known yet, or it
    /// is unfit.
    pub fn read(replica: &Replica, id: ServiceId) -> Option<Service> {
        let key = RecordKey::service(id);
        if replica.is_unfit(&key) {
            return None;
        }
        let record = replica.record(&key).and_then(Record::as_shared)?;
        let life = record.winner(Facet::LIFE)?;
        let Ok(Life::Present { name, created }) = wire::decode(&life.value) else { return None };
        let last = record.writes().map(|(_, write)| write).max_by_key(|write| write.stamp)?;
        let extension = read::written_extension(replica, &key);
        let (template_stamp, template) = match replica.facet(&key, Facet::TEMPLATE) {
            Some((stamp, StoredTemplate(stored))) => (stamp, Template { extension, ..stored }),
            None => (created, Template { extension, ..Template::default() }),
        };
        let template_version = TemplateVersion::of(&template);
        let last_good = read::last_good(replica, &key)
            .map(|good| (TemplateVersion::of(&good), good))
            .filter(|(version, _)| *version != template_version);
        let one = Scale::Replicated { replicas: 1 };
        let update_rules: UpdateRules = value_or_default(replica, &key, Facet::UPDATE_RULES);
        let steering = replica.facet::<Steering>(&key, Facet::STEERING);
        let steering = steering.map(|(_, said)| said).filter(|said| said.of == template_stamp);
        let failures = failures_of(replica, id, template_stamp);
        let begun = Begun { template, template_version, last_good };
        let (Begun { template, template_version, last_good }, rollout) =
            begun.counted(steering, update_rules.failure.action, failures);
        let written_scale = replica.facet(&key, Facet::SCALE).map_or(one, |(_, scale)| scale);
        let autoscale: Option<Autoscale> = value_or_default(replica, &key, Facet::AUTOSCALE);
        let declared = autoscale.and_then(|_| declared_count(replica, id));
        let in_force = |autoscale: Autoscale| autoscale.scale(written_scale, declared);
        let scale = autoscale.map_or(written_scale, in_force);
        let schedule: Option<Scheduled> = value_or_default(replica, &key, Facet::SCHEDULE);
        let Iteration { template_version, run, awaits_run } =
            Iteration::read(replica, id, scale, template_version, schedule.as_ref());
        let verdict = rollout.verdicts().map(|verdict| verdict.lamport).max();
        Some(Service {
            id,
            name,
            created,
            template_version,
            template,
            last_good,
            template_wall_ms: record.winner(Facet::TEMPLATE).map_or(life.wall_ms, |w| w.wall_ms),
            previous: read::previous(replica, &key).map(Box::new),
            template_stamp,
            scale,
            written_scale,
            autoscale,
            declared,
            placement: value_or_default(replica, &key, Facet::PLACEMENT),
            relations: relations(replica, &key),
            update_policy: value_or_default(replica, &key, Facet::UPDATE_POLICY),
            update_rules,
            rollback_policy: value_or_default(replica, &key, Facet::ROLLBACK_POLICY),
            partition: value_or_default(replica, &key, Facet::PARTITION),
            rollout,
            schedule,
            run,
            awaits_run,
            endpoint: value_or_default(replica, &key, Facet::ENDPOINT),
            networks: value_or_default(replica, &key, Facet::NETWORKS),
            previous_networks: value_or_default(replica, &key, Facet::PREVIOUS_NETWORKS),
            balancing: value_or_default(replica, &key, Facet::BALANCING),
            labels: labels(replica, &key),
            version: last.stamp.lamport.max(verdict.unwrap_or(0)),
            updated_wall_ms: last.wall_ms,
            created_wall_ms: life.wall_ms,
        })
    }
}

impl Service {
    /// The template of a version, if the service still knows it: the current one, the last good
    /// one, or the one before the last edit.
    pub fn template_of(&self, version: TemplateVersion) -> Option<&Template> {
        if version == self.template_version {
            return Some(&self.template);
        }
        if let Some((_, good)) = self.last_good.as_ref().filter(|(good, _)| *good == version) {
            return Some(good);
        }
        if let Some((_, failed)) = self.rollout.failed_update.as_deref().filter(|f| f.0 == version)
        {
            return Some(failed);
        }
        let before = self.previous.as_ref().map(|previous| &previous.template);
        before.filter(|template| TemplateVersion::of(template) == version)
    }

    /// The images of earlier templates that are still known: the last good one, and the one before
    /// the last edit.
    pub fn earlier_images(&self) -> Vec<RanImage> {
        let good = self.last_good.iter().map(|(version, good)| RanImage::of(*version, good));
        let before = self.previous.iter().map(|previous| &previous.template);
        let before = before.map(|before| RanImage::of(TemplateVersion::of(before), before));
        let failed = self.rollout.failed_update.iter().map(|f| RanImage::of(f.0, &f.1));
        good.chain(before).chain(failed).collect()
    }

    /// Was the template written again since the service was created? A creation writes the template
    /// right after the name, with the next counter of the same writer.
    pub fn is_template_updated(&self) -> bool {
        self.template_stamp.writer != self.created.writer
            || self.template_stamp.lamport > self.created.lamport.saturating_add(1)
    }
}

fn relations(replica: &Replica, key: &RecordKey) -> Relations {
    Relations {
        affinities: value_or_default(replica, key, Facet::AFFINITY),
        depends_on: value_or_default(replica, key, Facet::DEPENDS_ON),
        slot_order: value_or_default(replica, key, Facet::SLOT_ORDER),
    }
}

pub(crate) fn value_or_default<T: serde::de::DeserializeOwned + Default>(
    replica: &Replica,
    key: &RecordKey,
    facet: Facet,
) -> T {
    replica.facet(key, facet).map(|(_, value)| value).unwrap_or_default()
}

/// Which iteration of a job counts.
struct Iteration {
    template_version: TemplateVersion,
    run: Option<ScheduledRun>,
    awaits_run: bool,
}

impl Iteration {
    /// That of the latest run, if it is of the template. Without a schedule, runs that were declared
    /// before it was taken off still count: to take it off begins nothing.
    fn read(
        replica: &Replica,
        id: ServiceId,
        scale: Scale,
        template_version: TemplateVersion,
        schedule: Option<&Scheduled>,
    ) -> Iteration {
        let is_job = scale.is_job();
        let reports = if is_job { runs_of(replica, id) } else { Default::default() };
        let run = latest_run(reports.values(), template_version);
        match run.filter(|run| run.template == template_version) {
            Some(current) => {
                let template_version = template_version.of_run(current.due_s);
                Iteration { template_version, run, awaits_run: false }
            }
            None => Iteration { template_version, run, awaits_run: is_job && schedule.is_some() },
        }
    }
}

/// All living services, by id.
pub fn services(replica: &Replica) -> Vec<Service> {
    replica
        .keys(Kind::SERVICE)
        .filter_map(|key| Service::read(replica, ServiceId(key.id)))
        .collect()
}

/// A name that several living services have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameConflict {
    /// The name.
    pub name: String,
    /// The service that owns it.
    pub owner: ServiceId,
    /// The others, oldest first: to be renamed or removed.
    pub others: Vec<ServiceId>,
}

/// The living service that owns a name: the one created first, by stamp, then by id.
pub fn name_owner(replica: &Replica, name: &str) -> Option<ServiceId> {
    let named = names(replica).remove(name)?;
    named.first().map(|(_, id)| *id)
}

/// The names that several living services have, by name.
pub fn name_conflicts(replica: &Replica) -> Vec<NameConflict> {
    let several = names(replica).into_iter().filter(|(_, named)| named.len() > 1);
    let conflicts = several.map(|(name, named)| {
        let mut ids = named.into_iter().map(|(_, id)| id);
        let owner = ids.next().expect("more than one");
        NameConflict { name, owner, others: ids.collect() }
    });
    conflicts.collect()
}

/// The living services of each name, oldest first; without those that cannot be read.
fn names(replica: &Replica) -> BTreeMap<String, Vec<(Stamp, ServiceId)>> {
    let mut names = BTreeMap::<String, Vec<(Stamp, ServiceId)>>::new();
    for key in replica.keys(Kind::SERVICE).filter(|key| !replica.is_unfit(key)) {
        if let Some(Life::Present { name, created }) = replica.life(&key) {
            names.entry(name).or_default().push((created, ServiceId(key.id)));
        }
    }
    names.values_mut().for_each(|named| named.sort_unstable());
    names
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::{NodeId, StoreId};
    use crate::signature::{HashSigner, HashVerifier, Signer};
    use crate::stamp::Writer;

    const ID: ServiceId = ServiceId([1; 16]);

    fn replica() -> Replica {
        let signer = HashSigner::from_seed(1);
        let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
        Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
    }

    fn create(replica: &mut Replica) -> Stamp {
        let life = Life::Present { name: "web".into(), created: replica.next_stamp() };
        replica.edit(RecordKey::service(ID), Facet::LIFE, &life, 1_000)
    }

    #[test]
    fn a_service_of_which_only_the_life_is_written_reads_as_defaults() {
        let mut replica = replica();
        let created = create(&mut replica);
        let service = Service::read(&replica, ID).expect("living");
        assert_eq!((service.created, service.template_stamp), (created, created));
        assert_eq!(service.scale, Scale::Replicated { replicas: 1 });
        assert_eq!(service.template, Template::default());
        assert_eq!(service.template_version, TemplateVersion::of(&Template::default()));
        assert_eq!((service.version, service.updated_wall_ms), (1, 1_000));
    }

    #[test]
    fn a_service_is_as_new_as_its_last_facet() {
        let mut replica = replica();
        create(&mut replica);
        let template = Template { image: "busybox".into(), ..Template::default() };
        let key = RecordKey::service(ID);
        let written = replica.edit(key, Facet::TEMPLATE, &StoredTemplate(template.clone()), 2_000);
        let service = Service::read(&replica, ID).expect("living");
        assert_eq!((service.template_stamp, service.version), (written, written.lamport));
        assert_eq!((service.created_wall_ms, service.updated_wall_ms), (1_000, 2_000));
        assert_eq!(service.template_version, TemplateVersion::of(&template));
    }

    #[test]
    fn a_service_whose_life_has_not_arrived_is_not_read() {
        let mut replica = replica();
        replica.edit(RecordKey::service(ID), Facet::SCALE, &Scale::Global, 0);
        assert_eq!(Service::read(&replica, ID), None);
        assert_eq!(services(&replica), []);
    }

    #[test]
    fn the_version_of_a_template_stays_what_it_is() {
        assert_eq!(TemplateVersion::of(&Template::default()).0, 11_523_793_966_153_416_498);
    }
}
