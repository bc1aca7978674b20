//! What services mean to each other: beside whom a service runs, and after whom its tasks start; and
//! what its slots mean to each other.
//!
//! Other services are named as operators name them. Here nothing is looked up.

use serde::{Deserialize, Serialize};

/// The value of [`crate::spec::Facet::AFFINITY`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Affinities {
    /// `service==db`, `image!=redis`, as written; parsed by the planner, checked before they are
    /// stored.
    pub rules: Vec<String>,
}

/// The value of [`crate::spec::Facet::DEPENDS_ON`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct DependsOn {
    /// Names of services.
    pub services: Vec<String>,
}

/// The value of [`crate::spec::Facet::SLOT_ORDER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum SlotOrder {
    /// No slot waits for another one.
    #[default]
    Any,
    /// A slot starts when all slots of lower numbers run healthy. They end, and take a new template,
    /// from the highest number to the lowest.
    Ascending,
}

/// All of these of a service; no value of a facet itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Relations {
    /// Beside whom it runs, and beside whom not.
    pub affinities: Affinities,
    /// After whom its tasks start.
    pub depends_on: DependsOn,
    /// In which order its own slots start.
    pub slot_order: SlotOrder,
}
