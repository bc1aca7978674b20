//! Templates in records: the frozen part, what they have beyond it, and what earlier ones had.

use crdt_state::read;
use crdt_state::service::Service;
use crdt_state::spec::extension::{EarlierExtension, EarlierExtensions};
use crdt_state::spec::{Extension, Facet, StoredTemplate, Template};
use crdt_state::{Previous, RecordKey, Stamp};

use super::Editor;
use crate::edit::{ServiceSpec, job};

impl Editor<'_> {
    /// Writes the template. Every write of it has a stamp of its own, also if only what it has
    /// beyond its frozen part is another: a rollout is known by that stamp.
    pub(super) fn write_template(&mut self, key: RecordKey, template: &Template) -> Stamp {
        let earlier = self.earlier_extensions(key);
        self.write_earlier(key, &earlier, &template.extension);
        let stored = StoredTemplate(template.clone());
        let stamp = self.replica.edit(key, Facet::TEMPLATE, &stored, self.wall_ms);
        if template.extension != read::written_extension(self.replica, &key) {
            let properties = template.extension.properties();
            self.replica.edit(key, Facet::TEMPLATE_EXTENSION, &properties, self.wall_ms);
        }
        stamp
    }

    /// Writes the template if it is another one, after it kept the one that runs well.
    pub(super) fn write_changed_template(
        &mut self,
        held: &Service,
        template: &Template,
    ) -> Option<Stamp> {
        if *template == held.template {
            return None;
        }
        let key = RecordKey::service(held.id);
        if self.is_proven(held) {
            self.write_last_good(key, held);
        }
        Some(self.write_template(key, template))
    }

    /// Keeps what a service was before an update for a rollback, if that gives anything back.
    pub(super) fn remember_previous(&mut self, held: &Service, spec: &ServiceSpec) {
        let (key, before) = (RecordKey::service(held.id), ServiceSpec::of(held));
        if has_another_to_go_back_to(spec, &before) {
            self.write_previous(key, before.into_previous());
            if held.networks != held.previous_networks {
                self.replica.edit(key, Facet::PREVIOUS_NETWORKS, &held.networks, self.wall_ms);
            }
        }
    }

    /// Gives a service another template, and changes nothing else of it.
    pub(super) fn replace_template(&mut self, held: &Service, spec: ServiceSpec) {
        let spec = ServiceSpec { template: job::template(&spec, held), ..spec };
        self.remember_previous(held, &spec);
        self.write_changed_template(held, &spec.template);
    }

    /// The template that runs healthy is the last good one from now on.
    pub(super) fn write_last_good(&mut self, key: RecordKey, held: &Service) {
        let mut earlier = self.earlier_extensions(key);
        earlier.last_good = Some(EarlierExtension::of(&held.template));
        self.write_earlier(key, &earlier, &read::written_extension(self.replica, &key));
        let stored = StoredTemplate(held.template.clone());
        self.replica.edit(key, Facet::LAST_GOOD, &stored, self.wall_ms);
    }

    /// The service before its last edit is this one from now on.
    pub(super) fn write_previous(&mut self, key: RecordKey, previous: Previous) {
        let mut earlier = self.earlier_extensions(key);
        earlier.previous = Some(EarlierExtension::of(&previous.template));
        self.write_earlier(key, &earlier, &read::written_extension(self.replica, &key));
        self.replica.edit(key, Facet::PREVIOUS, &previous.fitting(), self.wall_ms);
    }

    /// What the earlier templates have, also where that is not written because nobody changed it.
    fn earlier_extensions(&self, key: RecordKey) -> EarlierExtensions {
        let good = read::last_good(self.replica, &key);
        let before = read::previous(self.replica, &key);
        EarlierExtensions {
            last_good: good.map(|good| EarlierExtension::of(&good)),
            previous: before.map(|before| EarlierExtension::of(&before.template)),
        }
    }

    /// Of services without extensions nothing is written.
    fn write_earlier(&mut self, key: RecordKey, earlier: &EarlierExtensions, next: &Extension) {
        let written = read::earlier_extensions(self.replica, &key);
        let is_needed = !earlier.are_empty() || !next.is_empty() || !written.are_empty();
        if is_needed && *earlier != written {
            self.replica.edit(key, Facet::EARLIER_EXTENSIONS, earlier, self.wall_ms);
        }
    }
}

/// Does an update change what a rollback gives back?
fn has_another_to_go_back_to(spec: &ServiceSpec, before: &ServiceSpec) -> bool {
    spec.networks != before.networks
        || spec.clone().into_previous() != before.clone().into_previous()
}
