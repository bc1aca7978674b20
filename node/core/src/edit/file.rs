//! Configs and secrets as an operator asks for them, and what is refused.

use crdt_state::file::{AnyUse, CONFIG_BYTES_MAX, FileClass, SECRET_BYTES_MAX, TemplateDriver};
use crdt_state::limits::FILE_NAME_CHARS_MAX;
use crdt_state::secret::{Batch, TAG_BYTES};
use crdt_state::spec::{Labels, Runtime, Template};
use crdt_state::{FileId, SecretId};
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
    /// What fills it in for each task; `None`: tasks get it as it is. Its data was checked as such.
    #[serde(default)]
    pub template: Option<TemplateDriver>,
}

/// A secret as an operator asks for it, sealed before it gets here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRequest {
    /// Its name, unique among living secrets.
    pub name: String,
    /// Labels.
    pub labels: Labels,
    /// The sealed content of the file, of 1 to [`SECRET_BYTES_MAX`] bytes.
    pub sealed: Vec<u8>,
    /// The key to it, wrapped for the node that is asked.
    pub keys: Batch,
    /// As of a config.
    #[serde(default)]
    pub template: Option<TemplateDriver>,
}

/// The keys of a secret that the agent wrapped, for [`crate::Input::KeysWrapped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKeys {
    /// The secret.
    pub secret: SecretId,
    /// The hash of the sealed data that the key opens.
    pub data: [u8; 32],
    /// The keys.
    pub keys: Batch,
}

/// Why a config or a secret, or a use of one, was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// The text is not a valid name.
    #[error(
        "invalid name `{0}`: only {FILE_NAME_CHARS_MAX} [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]; choose another name"
    )]
    Name(String),
    /// No data, or too much.
    #[error("{}", size_words(*class, *bytes))]
    Size {
        /// Of a config, or of a secret.
        class: FileClass,
        /// How much it is.
        bytes: usize,
    },
    /// A living file of this class has the name.
    #[error("{} {name} already exists ({id}); choose another name, {}", id.class(), taken_words(*id, name))]
    NameTaken {
        /// The name.
        name: String,
        /// The file that has the name.
        id: FileId,
    },
    /// No such file.
    #[error("{class} {wanted} not found; `edgectl {class} ls` lists what there is")]
    Missing {
        /// A config, or a secret.
        class: FileClass,
        /// What was asked for.
        wanted: String,
    },
    /// It has another name than the service says.
    #[error(
        "{} {id} is called {name} and not {said}; name the same one in {}", id.class(), field_words(id.class())
    )]
    Mismatch {
        /// Its id.
        id: FileId,
        /// Its name.
        name: String,
        /// The name that the service says.
        said: String,
    },
    /// Services use it.
    #[error(
        "{class} '{name}' is in use by the following {}: {}; take it from them first: edgectl service update --{class}-rm {name} {}",
        if services.len() == 1 { "service" } else { "services" },
        services.join(", "),
        services.first().map_or("", String::as_str)
    )]
    InUse {
        /// A config, or a secret.
        class: FileClass,
        /// Its name.
        name: String,
        /// The names of the services.
        services: Vec<String>,
    },
    /// Two files at one place.
    #[error(
        "{}{class} references '{first}' and '{second}' have a conflicting target: '{target}'; give one of them another with target=",
        if *class == FileClass::Secret { "duplicate secret target: " } else { "" }
    )]
    SameTarget {
        /// What the second one is.
        class: FileClass,
        /// The name of one file.
        first: String,
        /// The name of the other one.
        second: String,
        /// Where both are.
        target: String,
    },
    /// A target that is no place for a file.
    #[error(
        "`{target}` is no place for a {class}: write the path of a file, like target=/etc/app.conf"
    )]
    Target {
        /// A config, or a secret.
        class: FileClass,
        /// As written.
        target: String,
    },
    /// A task that sees the files of its node.
    #[error(
        "a program of the host gets no {0}s, as it has no files of its own; leave --{0} out and place the file on the nodes"
    )]
    Process(FileClass),
}

fn size_words(class: FileClass, bytes: usize) -> String {
    let (bound, large) = match class {
        FileClass::Config => {
            (format!("at most {CONFIG_BYTES_MAX}"), "put larger files into the image or a volume")
        }
        FileClass::Secret => (
            format!("less than {}", SECRET_BYTES_MAX + 1),
            "keep in the secret the key to a larger file",
        ),
    };
    let hint = if bytes == 0 { "see that the file is not empty" } else { large };
    format!("{class} data must be larger than 0 and {bound} bytes, and this is {bytes}; {hint}")
}

fn taken_words(id: FileId, name: &str) -> String {
    match id {
        FileId::Config(_) => "as a config's data never changes".to_owned(),
        FileId::Secret(_) => format!("or replace what is in it: edgectl secret rotate {name} FILE"),
    }
}

fn field_words(class: FileClass) -> &'static str {
    match class {
        FileClass::Config => "ConfigID and ConfigName",
        FileClass::Secret => "SecretID and SecretName",
    }
}

impl ConfigRequest {
    /// Checks everything that can be checked without looking at the fleet.
    pub fn check(&self) -> Result<(), BadFile> {
        check(FileClass::Config, &self.name, self.data.len())
    }
}

impl SecretRequest {
    /// Checks everything that can be checked without looking at the fleet.
    pub fn check(&self) -> Result<(), BadFile> {
        check(FileClass::Secret, &self.name, self.sealed.len().saturating_sub(TAG_BYTES))
    }
}

/// Checks the name and the size of what is in a file.
pub fn check(class: FileClass, name: &str, bytes: usize) -> Result<(), BadFile> {
    if !is_name(name) {
        return Err(BadFile::Name(name.to_owned()));
    }
    let most = match class {
        FileClass::Config => CONFIG_BYTES_MAX,
        FileClass::Secret => SECRET_BYTES_MAX,
    };
    if (1..=most).contains(&bytes) { Ok(()) } else { Err(BadFile::Size { class, bytes }) }
}

/// Docker's rule for names of configs and secrets.
fn is_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=FILE_NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(is_inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Checks the files that a service makes of configs and secrets, without looking at the fleet.
pub(super) fn check_files(template: &Template) -> Result<(), BadFile> {
    let files: Vec<AnyUse<'_>> = template.extension.files().collect();
    if let (Some(file), Runtime::Process) = (files.first(), template.runtime) {
        return Err(BadFile::Process(file.file.class()));
    }
    let is_file = |file: &&AnyUse<'_>| {
        let mut names = file.target.split('/').filter(|name| !name.is_empty()).peekable();
        let is_some = names.peek().is_some() && !file.target.ends_with('/');
        is_some && !file.target.contains('\0') && names.all(|name| name != ".." && name != ".")
    };
    if let Some(bad) = files.iter().find(|file| !is_file(file)) {
        let (class, target) = (bad.file.class(), bad.target.to_owned());
        return Err(BadFile::Target { class, target });
    }
    for (at, second) in files.iter().enumerate() {
        let first = files[..at].iter().find(|first| first.path == second.path);
        if let Some(first) = first {
            return Err(BadFile::SameTarget {
                class: second.file.class(),
                first: first.name.to_owned(),
                second: second.name.to_owned(),
                target: second.path.clone(),
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
        assert_eq!(sized(0), Err(BadFile::Size { class: FileClass::Config, bytes: 0 }));
        assert_eq!(sized(1), Ok(()));
        assert_eq!(sized(1_023_999), Ok(()));
        assert_eq!(
            sized(1_024_000),
            Err(BadFile::Size { class: FileClass::Config, bytes: 1_024_000 })
        );
    }

    #[test]
    fn a_secret_is_as_large_as_with_docker() {
        let sized = |bytes| check(FileClass::Secret, "a", bytes);
        for (bytes, is_fine) in [(0, false), (1, true), (511_999, true), (512_000, false)] {
            assert_eq!(sized(bytes).is_ok(), is_fine, "{bytes}");
        }
        let said = sized(512_000).expect_err("too large").to_string();
        let docker = "secret data must be larger than 0 and less than 512000 bytes";
        assert!(said.starts_with(docker), "{said}");
    }
}
