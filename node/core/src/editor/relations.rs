//! What an edit says of other services: whom it names must exist, and must not name it in turn.
//!
//! What was there before the edit is not asked: another operator may have removed a service since.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt_state::relation::Relations;
use crdt_state::service::Service;
use crdt_state::spec::Facet;
use crdt_state::{RecordKey, ServiceId};

use super::Editor;
use crate::affinity::{Affinity, Other, Side};
use crate::edit::{BadRelation, ServiceSpec};

impl Editor<'_> {
    /// Checks what this edit adds, and whether there is a circle then.
    pub(super) fn check_relations(
        &self,
        spec: &ServiceSpec,
        held: Option<&Service>,
    ) -> Result<(), BadRelation> {
        let before = held.map(|service| service.relations.clone()).unwrap_or_default();
        let rules = &spec.relations.affinities.rules;
        let mut added = rules.iter().filter(|rule| !before.affinities.rules.contains(rule));
        added.clone().try_for_each(|rule| self.check_affinity(spec, rule))?;
        let mut path = vec![spec.name.clone()];
        let own = held.map(|service| service.id);
        // By a new name or image it may become one that others name.
        let is_another = held.is_some_and(|held| {
            held.name != spec.name || held.template.image != spec.template.image
        });
        if (added.next().is_some() || is_another)
            && self.leads_back(spec, own, rules, &mut path, &mut BTreeSet::new())
        {
            return Err(BadRelation::AffinityCircle { path: steps(&path, "names") });
        }
        let names = &spec.relations.depends_on.services;
        for name in names.iter().filter(|name| !before.depends_on.services.contains(name)) {
            self.check_dependency(spec, name)?;
        }
        let is_changed = held.is_none_or(|held| {
            held.placement.priority != spec.placement.priority
                || held.relations.depends_on != spec.relations.depends_on
        });
        if is_changed { self.check_priorities(spec, held) } else { Ok(()) }
    }

    /// A service must not take the room of one that it waits for: neither would ever run.
    fn check_priorities(
        &self,
        spec: &ServiceSpec,
        held: Option<&Service>,
    ) -> Result<(), BadRelation> {
        let own = spec.placement.priority;
        let names = spec.relations.depends_on.services.iter();
        let needed = names
            .filter_map(|name| self.catalog().named(name))
            .map(|other| ((&spec.name, own), (&other.name, other.placement.priority)));
        let needs_it = |other: &&Arc<Service>| {
            let names = &other.relations.depends_on.services;
            held.is_some_and(|held| names.contains(&held.name) && other.id != held.id)
        };
        let dependents = self
            .catalog()
            .services
            .values()
            .filter(needs_it)
            .map(|other| ((&other.name, other.placement.priority), (&spec.name, own)));
        match needed.chain(dependents).find(|((_, above), (_, below))| above > below) {
            None => Ok(()),
            Some(((service, priority), (other, below))) => Err(BadRelation::WaitsForLower {
                service: service.clone(),
                priority,
                other: other.clone(),
                below,
            }),
        }
    }

    fn check_dependency(&self, spec: &ServiceSpec, name: &str) -> Result<(), BadRelation> {
        if name == spec.name {
            return Err(BadRelation::DependsOnItself(name.to_owned()));
        }
        let other = self.catalog().named(name).ok_or_else(|| BadRelation::NoSuchService {
            what: "--depends-on".to_owned(),
            name: name.to_owned(),
        })?;
        let mut seen = BTreeSet::new();
        let mut ways = vec![(other, vec![spec.name.clone()])];
        while let Some((service, mut path)) = ways.pop() {
            path.push(service.name.clone());
            for next in &service.relations.depends_on.services {
                if *next == spec.name {
                    path.push(next.clone());
                    return Err(BadRelation::DependencyCircle { path: steps(&path, "waits for") });
                }
                let known = self.catalog().named(next).filter(|next| seen.insert(next.id));
                ways.extend(known.map(|next| (next, path.clone())));
            }
        }
        Ok(())
    }

    fn check_affinity(&self, spec: &ServiceSpec, rule: &str) -> Result<(), BadRelation> {
        let Ok(affinity) = Affinity::parse(rule) else { return Ok(()) };
        let (rule, service) = (rule.to_owned(), spec.name.clone());
        if affinity.other().is(&spec.name, &spec.template.image) {
            return Err(match affinity.side() {
                Side::Apart => BadRelation::ApartFromItself { rule, service },
                Side::Beside => BadRelation::BesideItself { rule, service },
            });
        }
        match affinity.other() {
            Other::Service(name) if !self.is_service(name) => {
                let (what, name) = (format!("affinity {rule}"), name.clone());
                Err(BadRelation::NoSuchService { what, name })
            }
            _ => Ok(()),
        }
    }

    fn is_service(&self, name: &str) -> bool {
        self.catalog().services.values().any(|service| service.name == name)
    }

    /// Do these affinities lead to a service that leads to `spec`? Then `path` is the way.
    fn leads_back(
        &self,
        spec: &ServiceSpec,
        own: Option<ServiceId>,
        rules: &[String],
        path: &mut Vec<String>,
        seen: &mut BTreeSet<ServiceId>,
    ) -> bool {
        for affinity in rules.iter().filter_map(|rule| Affinity::parse(rule).ok()) {
            if path.len() > 1 && affinity.other().is(&spec.name, &spec.template.image) {
                path.push(spec.name.clone());
                return true;
            }
            let others = self.catalog().services.values().filter(|other| Some(other.id) != own);
            for other in others.filter(|o| affinity.other().is(&o.name, &o.template.image)) {
                if !seen.insert(other.id) {
                    continue;
                }
                path.push(other.name.clone());
                if self.leads_back(spec, own, &other.relations.affinities.rules, path, seen) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }

    /// Writes what differs.
    pub(super) fn write_relations(&mut self, key: RecordKey, wanted: &Relations, held: &Relations) {
        if wanted.affinities != held.affinities {
            self.replica.edit(key, Facet::AFFINITY, &wanted.affinities, self.wall_ms);
        }
        if wanted.depends_on != held.depends_on {
            self.replica.edit(key, Facet::DEPENDS_ON, &wanted.depends_on, self.wall_ms);
        }
        if wanted.slot_order != held.slot_order {
            self.replica.edit(key, Facet::SLOT_ORDER, &wanted.slot_order, self.wall_ms);
        }
    }
}

/// `web names db, db names web`
fn steps(path: &[String], verb: &str) -> String {
    let steps = path.windows(2).map(|step| format!("{} {verb} {}", step[0], step[1]));
    steps.collect::<Vec<_>>().join(", ")
}
