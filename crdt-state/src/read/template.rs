//! What templates of a service have beyond their stored form, and earlier templates with it.

use crate::key::RecordKey;
use crate::previous::Previous;
use crate::replica::Replica;
use crate::spec::extension::{EarlierExtensions, Properties, extended};
use crate::spec::{Extension, Facet, StoredTemplate, Template};

/// The extension that was written last; a service whose last update was rolled back by itself does
/// not have it.
pub fn written_extension(replica: &Replica, key: &RecordKey) -> Extension {
    let written = replica.facet::<Properties>(key, Facet::TEMPLATE_EXTENSION);
    written.map(|(_, properties)| Extension::of(&properties)).unwrap_or_default()
}

/// What is written of earlier templates.
pub fn earlier_extensions(replica: &Replica, key: &RecordKey) -> EarlierExtensions {
    let written = replica.facet(key, Facet::EARLIER_EXTENSIONS);
    written.map(|(_, earlier)| earlier).unwrap_or_default()
}

/// The last good template, also if it is the current one.
pub fn last_good(replica: &Replica, key: &RecordKey) -> Option<Template> {
    let (_, StoredTemplate(good)) = replica.facet(key, Facet::LAST_GOOD)?;
    let had = earlier_extensions(replica, key).last_good;
    Some(extended(good, had.as_ref(), &written_extension(replica, key)))
}

/// The service before its last edit.
pub fn previous(replica: &Replica, key: &RecordKey) -> Option<Previous> {
    let (_, previous) = replica.facet::<Option<Previous>>(key, Facet::PREVIOUS)?;
    let previous = previous?;
    let had = earlier_extensions(replica, key).previous;
    let now = written_extension(replica, key);
    Some(Previous { template: extended(previous.template, had.as_ref(), &now), ..previous })
}
