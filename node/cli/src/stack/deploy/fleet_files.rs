//! The configs and secrets of a stack that is deployed.

use node_docker::config::{Config, ConfigCreated, ConfigSpec, Secret, SecretRotated};
use node_stack::Stack;

use super::Deploy;
use crate::client::{CallError, Client, escape};
use crate::failure::Failure;
use crate::output::say;
use crate::stack::of_stack;

impl Deploy<'_> {
    /// Makes the configs that are not there.
    pub(super) async fn configs(
        &mut self,
        client: &mut Client,
        stack: &Stack,
    ) -> Result<(), Failure> {
        if stack.configs.is_empty() && stack.external_configs.is_empty() {
            return Ok(());
        }
        let known: Vec<Config> = client.get("/configs").await?;
        let find = |name: &str| known.iter().find(|config| config.spec.name == name);
        if let Some(missing) = stack.external_configs.iter().find(|name| find(name).is_none()) {
            return Err(Failure::new(format!("there is no config {missing}"))
                .why("the file says that it is external: made before, and by others")
                .hint(format!("edgectl config create {missing} FILE")));
        }
        for config in &stack.configs {
            match find(&config.name) {
                Some(held)
                    if held.spec.data == config.data
                        && held.spec.templating == config.templating => {}
                Some(_) => {
                    return Err(Failure::new(format!(
                        "the config {} holds something else than the file says",
                        config.name
                    ))
                    .why("what a config holds never changes, nor whether it is a template")
                    .hint("another `name`, or none: then it is named after what it holds"));
                }
                None if self.args.dry_run.is_some() => {
                    say(format!("{} would be created", config.name));
                    self.missing.insert(config.name.clone());
                }
                None => {
                    say(format!("Creating config {}", config.name));
                    client.post::<_, ConfigCreated>("/configs/create", config).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes the secrets that are not there, and rotates those of which the file says something else.
    /// Services take what is new when they are updated, or with the rotation.
    pub(super) async fn secrets(
        &mut self,
        client: &mut Client,
        stack: &Stack,
    ) -> Result<(), Failure> {
        if stack.secrets.is_empty() && stack.external_secrets.is_empty() {
            return Ok(());
        }
        let known: Vec<Secret> = client.get("/secrets").await?;
        let find = |name: &str| known.iter().find(|one| one.secret.spec.name == name);
        if let Some(missing) = stack.external_secrets.iter().find(|name| find(name).is_none()) {
            return Err(Failure::new(format!("there is no secret {missing}"))
                .why("the file says that it is external: made before, and by others")
                .hint(format!("edgectl secret create {missing} FILE")));
        }
        for secret in &stack.secrets {
            match find(&secret.name) {
                Some(_) if self.args.dry_run.is_some() => {}
                Some(held) => {
                    let id = &held.secret.id;
                    let path = format!("/edge/secrets/{}/rotate?changed=true", escape(id));
                    // An empty name: the file says that it is none.
                    let mut sent = secret.clone();
                    sent.templating.get_or_insert_default();
                    let rotated: SecretRotated = client.post(&path, &sent).await?;
                    if rotated.id != *id {
                        say(format!("Rotating secret {}", secret.name));
                    }
                }
                None if self.args.dry_run.is_some() => {
                    say(format!("{} would be created", secret.name));
                    self.missing.insert(secret.name.clone());
                }
                None => {
                    say(format!("Creating secret {}", secret.name));
                    client.post::<_, ConfigCreated>("/secrets/create", secret).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes the configs or secrets of the stack that are not in the files, unless a service uses one.
    pub(super) async fn prune(
        &mut self,
        client: &mut Client,
        stack: &Stack,
        kind: &str,
        kept: &[ConfigSpec],
    ) -> Result<(), Failure> {
        let known: Vec<Config> = client.get(&format!("/{kind}?{}", of_stack(&stack.name))).await?;
        let is_kept = |name: &str| kept.iter().any(|one| one.name == name);
        for one in known.iter().filter(|one| !is_kept(&one.spec.name)) {
            match client.delete(&format!("/{kind}/{}", escape(&one.id))).await {
                Ok(()) => say(format!("Removing {} {}", kind.trim_end_matches('s'), one.spec.name)),
                Err(CallError::Refused { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(())
    }
}
