//! What a task has beyond the frozen encoding of its [`Template`].
//!
//! The extension is a facet of its own, a list of properties: a further property is a further
//! variant of [`Property`], at the end, and no further facet. An agent that does not know a
//! property cannot read the list, and leaves the service alone: it must not run a task without
//! what its operator asked for. A template without an extension has the version that it always had.

use serde::{Deserialize, Serialize};

use super::{Template, TemplateVersion};
use crate::file::{AnyUse, ConfigFile, SecretFile};
use crate::id::NodeId;
use crate::task::Run;

/// How much a task may swap out, on top of its limit of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Swap {
    /// This many bytes, more than 0.
    Bytes(u64),
    /// As much as the node has.
    Unlimited,
}

/// Whose user and group ids a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserNamespace {
    /// Those of a namespace of its own: 0 to 65535 in the container are a range of its node that no
    /// other task there has.
    Own,
}

/// A container that was made by hand on one node, with Docker's container API. Its service has one
/// slot, is bound to this node, and is shown as a container only. Decision 28.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standalone {
    /// The node that it was made on, and never leaves.
    pub node: NodeId,
    /// It is removed when it has ended (`--rm`).
    pub auto_remove: bool,
    /// Its standard input ends with the first client that was attached to it.
    pub stdin_once: bool,
    /// Its restart policy is called `unless-stopped`, not `always`.
    pub unless_stopped: bool,
}

/// What a template has beyond its frozen fields. The default: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extension {
    /// `None`: none, the limit of memory covers memory and swap.
    pub swap: Option<Swap>,
    /// How readily the kernel swaps its memory out, 0 to 100. `None`: as on the rest of the node.
    pub swappiness: Option<u8>,
    /// Commands that run to their end before each start of a task, in this order.
    pub pre_start: Vec<Vec<String>>,
    /// The configs that it gets from the fleet.
    pub configs: Vec<ConfigFile>,
    /// It is a container that was made by hand; `None`: it is a task of a service.
    pub standalone: Option<Standalone>,
    /// The secrets that it gets from the fleet.
    pub secrets: Vec<SecretFile>,
    /// The filter of system calls that it has in place of the default one, in the form of Docker's
    /// profiles (JSON). `None`: the default one, unless
    /// [`seccomp_unconfined`](super::Container::seccomp_unconfined).
    pub seccomp: Option<String>,
    /// The AppArmor profile of its nodes that it runs under. `None`: none.
    pub apparmor: Option<String>,
    /// `None`: the ids of its node, so that its root is that of the node.
    pub users: Option<UserNamespace>,
}

/// One property, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Property {
    /// [`Extension::swap`].
    Swap(Swap),
    /// [`Extension::swappiness`].
    Swappiness(u8),
    /// [`Extension::pre_start`], at least one.
    PreStart(Vec<Vec<String>>),
    /// [`Extension::configs`], at least one.
    Configs(Vec<ConfigFile>),
    /// [`Extension::standalone`].
    Standalone(Standalone),
    /// [`Extension::secrets`], at least one.
    Secrets(Vec<SecretFile>),
    /// [`Extension::seccomp`].
    Seccomp(String),
    /// [`Extension::apparmor`].
    AppArmor(String),
    /// [`Extension::users`].
    Users(UserNamespace),
}

/// The value of [`super::Facet::TEMPLATE_EXTENSION`]: each property at most once, in the order of the
/// enum, so that equal extensions have equal bytes.
pub type Properties = Vec<Property>;

impl Extension {
    /// Has the template nothing but its frozen fields?
    pub fn is_empty(&self) -> bool {
        *self == Extension::default()
    }

    /// The stored form.
    pub fn properties(&self) -> Properties {
        let Extension { swap, swappiness, pre_start, configs, standalone, secrets, .. } = self;
        let swap = swap.map(Property::Swap);
        let swappiness = swappiness.map(Property::Swappiness);
        let pre_start = Some(pre_start).filter(|commands| !commands.is_empty());
        let pre_start = pre_start.map(|commands| Property::PreStart(commands.clone()));
        let configs = Some(configs).filter(|files| !files.is_empty());
        let configs = configs.map(|files| Property::Configs(files.clone()));
        let standalone = standalone.map(Property::Standalone);
        let known = swap.into_iter().chain(swappiness).chain(pre_start).chain(configs);
        let secrets = Some(secrets).filter(|files| !files.is_empty());
        let secrets = secrets.map(|files| Property::Secrets(files.clone()));
        let seccomp = self.seccomp.clone().map(Property::Seccomp);
        let apparmor = self.apparmor.clone().map(Property::AppArmor);
        let users = self.users.map(Property::Users);
        let profiles = seccomp.into_iter().chain(apparmor);
        known.chain(standalone).chain(secrets).chain(profiles).chain(users).collect()
    }

    /// The inverse of [`Extension::properties`].
    pub fn of(properties: &[Property]) -> Extension {
        let mut extension = Extension::default();
        for property in properties {
            match property {
                Property::Swap(swap) => extension.swap = Some(*swap),
                Property::Swappiness(swappiness) => extension.swappiness = Some(*swappiness),
                Property::PreStart(commands) => extension.pre_start.clone_from(commands),
                Property::Configs(files) => extension.configs.clone_from(files),
                Property::Standalone(standalone) => extension.standalone = Some(*standalone),
                Property::Secrets(files) => extension.secrets.clone_from(files),
                Property::Seccomp(profile) => extension.seccomp = Some(profile.clone()),
                Property::AppArmor(profile) => extension.apparmor = Some(profile.clone()),
                Property::Users(users) => extension.users = Some(*users),
            }
        }
        extension
    }

    /// The files that tasks get of the fleet, whatever they are.
    pub fn files(&self) -> impl Iterator<Item = AnyUse<'_>> {
        let configs = self.configs.iter().map(ConfigFile::any);
        configs.chain(self.secrets.iter().map(SecretFile::any))
    }
}

impl Template {
    /// Is it of a container that was made by hand?
    pub fn is_standalone(&self) -> bool {
        self.extension.standalone.is_some()
    }

    /// The attempt by which the container of a run is known: a container that was made by hand has one
    /// id for all of its attempts, that of an attempt that there never is.
    pub fn known_as(&self, run: Run) -> Run {
        if self.is_standalone() { Run { attempt: 0, ..run } } else { run }
    }
}

/// The extension that an earlier template had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierExtension {
    /// The version of that template without its extension.
    pub of: TemplateVersion,
    /// The extension.
    pub properties: Properties,
}

/// The value of [`super::Facet::EARLIER_EXTENSIONS`]. An extension that is missing here, or is that of
/// another template, was not changed since: an agent that knows no extensions wrote the template
/// anew, and left the extension as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EarlierExtensions {
    /// That of [`super::Facet::LAST_GOOD`].
    pub last_good: Option<EarlierExtension>,
    /// That of the template in [`super::Facet::PREVIOUS`].
    pub previous: Option<EarlierExtension>,
}

impl EarlierExtension {
    /// That of a template.
    pub fn of(template: &Template) -> EarlierExtension {
        EarlierExtension {
            of: TemplateVersion::of_stored(template),
            properties: template.extension.properties(),
        }
    }
}

impl EarlierExtensions {
    /// Has none of them a property?
    pub fn are_empty(&self) -> bool {
        [&self.last_good, &self.previous].into_iter().flatten().all(|one| one.properties.is_empty())
    }
}

/// An earlier template as it was read, with the extension that it had.
pub(crate) fn extended(
    mut template: Template,
    had: Option<&EarlierExtension>,
    now: &Extension,
) -> Template {
    let had = had.filter(|had| had.of == TemplateVersion::of_stored(&template));
    template.extension = had.map_or_else(|| now.clone(), |had| Extension::of(&had.properties));
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension() -> Extension {
        let pre_start = vec![vec!["migrate".to_owned()]];
        let configs = vec![ConfigFile {
            id: crate::id::ConfigId([7; 16]),
            name: "app.conf".to_owned(),
            target: "/etc/app.conf".to_owned(),
            uid: 1_000,
            gid: 0,
            mode: 0o440,
        }];
        let standalone = Some(Standalone {
            node: NodeId([3; 16]),
            auto_remove: true,
            stdin_once: false,
            unless_stopped: true,
        });
        let swap = Some(Swap::Bytes(1 << 20));
        let secrets = vec![SecretFile {
            id: crate::id::SecretId([8; 16]),
            name: "key".to_owned(),
            target: "key".to_owned(),
            uid: 0,
            gid: 0,
            mode: 0o400,
        }];
        let (seccomp, apparmor) = (Some("{}".to_owned()), Some("shop".to_owned()));
        Extension {
            swap,
            swappiness: Some(10),
            pre_start,
            configs,
            standalone,
            secrets,
            seccomp,
            apparmor,
            users: Some(UserNamespace::Own),
        }
    }

    #[test]
    fn a_template_without_an_extension_has_the_version_of_its_frozen_fields() {
        let template = Template { image: "app:1".into(), ..Template::default() };
        assert_eq!(TemplateVersion::of(&template), TemplateVersion::of_stored(&template));
        let mut versions = vec![TemplateVersion::of(&template)];
        for extension in [
            extension(),
            Extension { swap: None, ..extension() },
            Extension { swappiness: None, ..extension() },
            Extension { pre_start: Vec::new(), ..extension() },
            Extension { configs: Vec::new(), ..extension() },
            Extension { standalone: None, ..extension() },
            Extension { secrets: Vec::new(), ..extension() },
            Extension { seccomp: None, ..extension() },
            Extension { apparmor: None, ..extension() },
            Extension { users: None, ..extension() },
        ] {
            versions.push(TemplateVersion::of(&Template { extension, ..template.clone() }));
        }
        versions.sort();
        versions.dedup();
        assert_eq!(versions.len(), 11, "each is a version of its own");
    }

    #[test]
    fn an_extension_is_read_as_it_is_stored() {
        for extension in [Extension::default(), extension()] {
            assert_eq!(Extension::of(&extension.properties()), extension);
        }
    }

    #[test]
    fn an_earlier_extension_belongs_to_its_template_only() {
        let template = Template { image: "app:1".into(), ..Template::default() };
        let had = EarlierExtension::of(&Template { extension: extension(), ..template.clone() });
        let now = Extension { swappiness: Some(99), ..Extension::default() };
        assert_eq!(extended(template.clone(), Some(&had), &now).extension, extension());
        let other = Template { image: "app:2".into(), ..Template::default() };
        assert_eq!(extended(other, Some(&had), &now).extension, now);
        assert_eq!(extended(template, None, &now).extension, now);
    }
}
