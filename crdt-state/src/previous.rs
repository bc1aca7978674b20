//! A service before its last edit: an operator compares with it, and can roll back to it.

use serde::{Deserialize, Serialize};

use crate::spec::{
    Endpoint, Frozen, Labels, Placement, Runtime, Scale, Template, TemplateVersion, UpdatePolicy,
};
use crate::wire;

/// All facets of a service that operators write, before the edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its name.
    pub name: String,
    /// The template of its tasks. Its extension is stored apart.
    #[serde(with = "Frozen")]
    pub template: Template,
    /// Mode and replicas.
    pub scale: Scale,
    /// Where tasks could run.
    pub placement: Placement,
    /// How a new template was rolled out.
    pub update_policy: UpdatePolicy,
    /// Ports.
    pub endpoint: Endpoint,
    /// Labels.
    pub labels: Labels,
}

impl Previous {
    /// The value of the facet. Each part fits into a value, but all of them together may not. Then
    /// the value is `None`, "not known", so that no older one stays in its place.
    pub fn fitting(self) -> Option<Previous> {
        let value = Some(self);
        let fits = wire::encode(&value).len() <= wire::VALUE_BYTES_MAX;
        value.filter(|_| fits)
    }
}

/// The image that an earlier template of a service ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RanImage {
    /// The template.
    pub version: TemplateVersion,
    /// What ran the task.
    pub runtime: Runtime,
    /// Its image; for a process, its program.
    pub name: String,
}

impl RanImage {
    /// The image of a template.
    pub fn of(version: TemplateVersion, template: &Template) -> RanImage {
        let name = match template.runtime {
            Runtime::Container => template.image.clone(),
            Runtime::Process => {
                template.command.iter().chain(&template.args).next().cloned().unwrap_or_default()
            }
        };
        RanImage { version, runtime: template.runtime, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_a_value_is_not_known() {
        let mut previous = Previous {
            name: "web".into(),
            template: Template { image: "app:1".into(), ..Template::default() },
            scale: Scale::Global,
            placement: Placement::default(),
            update_policy: UpdatePolicy::default(),
            endpoint: Endpoint::default(),
            labels: Labels::from([("a".into(), "x".repeat(wire::VALUE_BYTES_MAX / 2))]),
        };
        assert_eq!(previous.clone().fitting().as_ref(), Some(&previous));
        previous.template.env.push("x".repeat(wire::VALUE_BYTES_MAX / 2));
        assert_eq!(previous.fitting(), None);
    }
}
