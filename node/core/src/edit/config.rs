//! A config as an operator asks for it, and what is refused.

use crdt_state::ConfigId;
use crdt_state::config::{CONFIG_BYTES_MAX, ConfigFile};
use crdt_state::limits::CONFIG_NAME_CHARS_MAX;
use crdt_state::spec::{Labels, Runtime, Template};
use serde::{Deserialize, Serialize};

/// A config as an operator asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ConfigRequest {
    /// Its name, unique among living configs.
    pub name: String,
    /// Labels.
    pub labels: Labels,
    /// The content of the file, 1 to [`CONFIG_BYTES_MAX`] bytes.
    pub data: Vec<u8>,
}

/// Why a config, or a use of one, was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// The text is not a valid name.
    #[error(
        "invalid name `{0}`: only {CONFIG_NAME_CHARS_MAX} [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]; choose another name"
    )]
    Name(String),
    /// No data, or too much.
    #[error(
        "config data must be larger than 0 and at most {CONFIG_BYTES_MAX} bytes, and this is {0}; put larger files into the image or a volume"
    )]
    Size(usize),
    /// A living config has the name.
    #[error(
        "config {name} already exists ({id}); choose another name, as a config's data never changes"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The config that has the name.
        id: ConfigId,
    },
    /// No such config.
    #[error("config {0} not found; `edgectl config ls` lists what there is")]
    Missing(String),
    /// It has another name than the service says.
    #[error(
        "config {id} is called {name} and not {said}; name the same one in ConfigID and ConfigName"
    )]
    Mismatch {
        /// Its id.
        id: ConfigId,
        /// Its name.
        name: String,
        /// The name that the service says.
        said: String,
    },
    /// Services use it.
    #[error(
        "config '{name}' is in use by the following {}: {}; take it from them first: edgectl service update --config-rm {name} {}",
        if services.len() == 1 { "service" } else { "services" },
        services.join(", "),
        services.first().map_or("", String::as_str)
    )]
    InUse {
        /// Its name.
        name: String,
        /// The names of the services.
        services: Vec<String>,
    },
    /// Two files at one place.
    #[error(
        "config references '{first}' and '{second}' have a conflicting target: '{target}'; give one of them another with target="
    )]
    SameTarget {
        /// The config of one file.
        first: String,
        /// The config of the other one.
        second: String,
        /// Where both are.
        target: String,
    },
    /// A target that is no place for a file.
    #[error("`{0}` is no place for a config: write the path of a file, like target=/etc/app.conf")]
    Target(String),
    /// A task that sees the files of its node.
    #[error(
        "a program of the host gets no configs, as it has no files of its own; leave --config out and place the file on the nodes"
    )]
    Process,
}

impl ConfigRequest {
    /// Checks everything that can be checked without looking at the fleet.
    pub fn check(&self) -> Result<(), BadConfig> {
        if !is_name(&self.name) {
            return Err(BadConfig::Name(self.name.clone()));
        }
        match self.data.len() {
            1..=CONFIG_BYTES_MAX => Ok(()),
            bytes => Err(BadConfig::Size(bytes)),
        }
    }
}

/// Docker's rule for names of configs.
fn is_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=CONFIG_NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(is_inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Checks the files that a service makes of configs, without looking at the fleet.
pub(super) fn check_files(template: &Template) -> Result<(), BadConfig> {
    let files = &template.extension.configs;
    if !files.is_empty() && template.runtime == Runtime::Process {
        return Err(BadConfig::Process);
    }
    let is_file = |file: &&ConfigFile| {
        let mut names = file.target.split('/').filter(|name| !name.is_empty()).peekable();
        let is_some = names.peek().is_some() && !file.target.ends_with('/');
        is_some && !file.target.contains('\0') && names.all(|name| name != ".." && name != ".")
    };
    if let Some(bad) = files.iter().find(|file| !is_file(file)) {
        return Err(BadConfig::Target(bad.target.clone()));
    }
    for (at, second) in files.iter().enumerate() {
        let first = files[..at].iter().find(|first| first.path() == second.path());
        if let Some(first) = first {
            return Err(BadConfig::SameTarget {
                first: first.name.clone(),
                second: second.name.clone(),
                target: second.path(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_docker_s() {
        let longest = "a".repeat(64);
        for name in ["app.conf", "a", "7", "a_b-c.d", longest.as_str()] {
            assert!(is_name(name), "{name}");
        }
        let too_long = "a".repeat(65);
        for name in ["", ".a", "a.", "-a", "a b", "a/b", "ü", too_long.as_str()] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn data_has_docker_s_size() {
        let sized = |bytes| {
            let data = vec![7; bytes];
            ConfigRequest { name: "a".into(), data, ..ConfigRequest::default() }.check()
        };
        assert_eq!(sized(0), Err(BadConfig::Size(0)));
        assert_eq!(sized(1), Ok(()));
        assert_eq!(sized(1_023_999), Ok(()));
        assert_eq!(sized(1_024_000), Err(BadConfig::Size(1_024_000)));
    }
}
