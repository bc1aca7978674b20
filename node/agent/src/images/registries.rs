//! Registries: the hosts that serve each one, the certificates by which they are trusted, and the
//! login that this node uses if the client sent none.

use std::path::{Path, PathBuf};

use runtime::image::auth::{self, Login};
use runtime::image::pull::PullError;
use runtime::image::registry::{Purpose, RegistryClient, RegistryConfig, Repository};

use super::blocking;
use crate::config::Config;

/// See the module.
pub(super) struct Registries {
    config: RegistryConfig,
    docker_config: PathBuf,
}

impl Registries {
    /// As the agent's configuration says.
    pub(super) fn new(config: &Config) -> Registries {
        Registries {
            config: RegistryConfig {
                insecure: config.insecure_registries.clone(),
                mirrors: config.registry_mirrors.clone(),
                certificates: config.registry_certificates.clone(),
                ..RegistryConfig::default()
            },
            docker_config: config.docker_config.clone().unwrap_or_else(docker_config),
        }
    }

    /// Work with one repository, as whoever asked or as this node's own login says.
    pub(super) async fn session(
        &self,
        repository: &Repository,
        login: Option<Login>,
        purpose: Purpose,
    ) -> Result<RegistryClient, PullError> {
        let login = match login {
            Some(login) => login,
            None => {
                let (path, registry) = (self.docker_config.clone(), repository.registry.clone());
                blocking(move || auth::from_docker_config(&path, &registry)).await?
            }
        };
        let (registries, repository) = (self.config.clone(), repository.clone());
        Ok(blocking(move || RegistryClient::open(&registries, repository, login, purpose)).await?)
    }
}

/// Where Docker keeps logins: `$DOCKER_CONFIG`, or the home of whom the agent runs as.
fn docker_config() -> PathBuf {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let home =
        || Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".docker");
    folder.unwrap_or_else(home).join("config.json")
}
