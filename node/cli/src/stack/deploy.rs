//! `edgectl stack deploy`

use std::collections::{BTreeMap, BTreeSet};

use clap::{ArgAction, Args};
use node_docker::dry_run::DryRun;
use node_docker::network::{Network, NetworkCreated};
use node_docker::service::{Service, ServiceCreated, ServiceSpec};
use node_docker::task_spec::Placement;
use node_stack::Stack;

use super::files::{self, FileFlags, Read};
use super::{name, of_stack};
use crate::client::{CallError, Client, escape};
use crate::dry_run::{self, DryRunFlags};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::say;
use crate::progress::{Goal, WaitFlags};
use crate::service::{replace, resolve_anchors, wait_for};

mod fleet_files;

/// The label with the image as it is written in the file.
const IMAGE: &str = "com.docker.stack.image";

/// How stacks are deployed.
#[derive(Debug, Args)]
pub struct DeployFlags {
    /// Remove services of the stack that are not in the files
    #[arg(long)]
    prune: bool,
    /// Return at once; with --detach=false when all of its tasks run
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true")]
    detach: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// When a registry is asked for the digest of an image: if its name changed, or always
    #[arg(long, value_name = "WHEN", default_value = "changed",
        value_parser = ["changed", "always", "never"])]
    resolve_image: String,
    /// Accepted: each node pulls with its own Docker config.json
    #[arg(long)]
    with_registry_auth: bool,
    /// Show what it would do, and change nothing
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true,
        default_missing_value = "text", value_parser = ["text", "json"])]
    dry_run: Option<String>,
}

impl DeployFlags {
    /// Those with which a folder of files is applied: it says all of a stack.
    pub fn of_folder() -> DeployFlags {
        DeployFlags {
            prune: true,
            detach: true,
            quiet: true,
            resolve_image: "changed".to_owned(),
            with_registry_auth: false,
            dry_run: None,
        }
    }
}

/// Flags and operands.
#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    flags: DeployFlags,
    /// Name of the stack [default: `name` in the file]
    #[arg(value_name = "STACK", value_parser = name())]
    stack: Option<String>,
}

/// Makes the fleet as the files say. Their faults are told whether or not there is an agent.
pub async fn run(args: DeployArgs, client: Result<Client, Failure>) -> Result<Exit, Failure> {
    let read = Read::from(&args.files)?;
    let stack = node_stack::read(&read.input(args.stack)).map_err(files::failure)?;
    deploy(&mut client?, &stack, &args.flags).await
}

/// Makes the fleet as a stack says. A failure does not stop what does not depend on it.
pub async fn deploy(
    client: &mut Client,
    stack: &Stack,
    flags: &DeployFlags,
) -> Result<Exit, Failure> {
    for note in &stack.notes {
        say(format!("note: {note}"));
    }
    let mut deploy =
        Deploy { args: flags, each: Each::new(), changed: Vec::new(), missing: BTreeSet::new() };
    client.change_by(&DryRunFlags::default());
    deploy.networks(client, stack).await?;
    deploy.configs(client, stack).await?;
    deploy.secrets(client, stack).await?;
    client.change_by(&DryRunFlags::tried(flags.dry_run.clone()));
    deploy.services(client, stack).await?;
    if flags.dry_run.is_none() && flags.prune {
        deploy.prune(client, stack, "configs", &stack.configs).await?;
        deploy.prune(client, stack, "secrets", &stack.secrets).await?;
    }
    if !flags.detach && flags.dry_run.is_none() {
        deploy.wait(client).await;
    }
    Ok(deploy.each.exit())
}

struct Deploy<'a> {
    args: &'a DeployFlags,
    each: Each,
    /// The services that were changed, with what is waited for.
    changed: Vec<(String, ServiceSpec, Goal)>,
    /// The networks, configs and secrets that a dry run does without, because it makes none.
    missing: BTreeSet<String>,
}

impl Deploy<'_> {
    /// Makes the networks that are not there.
    async fn networks(&mut self, client: &mut Client, stack: &Stack) -> Result<(), Failure> {
        let known: Vec<Network> = client.get("/networks").await?;
        let is_known = |name: &String| known.iter().any(|network| network.name == *name);
        if let Some(missing) = stack.external_networks.iter().find(|name| !is_known(name)) {
            return Err(Failure::new(format!("there is no network {missing}"))
                .why("the file says that it is external: made before, and by others")
                .hint(format!("edgectl network create {missing}")));
        }
        for network in stack.networks.iter().filter(|network| !is_known(&network.name)) {
            if self.args.dry_run.is_some() {
                say(format!("{} would be created", network.name));
                self.missing.insert(network.name.clone());
                continue;
            }
            say(format!("Creating network {}", network.name));
            let created = client.post::<_, NetworkCreated>("/networks/create", network).await?;
            if !created.warning.is_empty() {
                say(format!("warning: {}", created.warning));
            }
        }
        Ok(())
    }

    async fn services(&mut self, client: &mut Client, stack: &Stack) -> Result<(), Failure> {
        let known: Vec<Service> =
            client.get(&format!("/services?{}", of_stack(&stack.name))).await?;
        let mut known: BTreeMap<String, Service> =
            known.into_iter().map(|service| (service.spec.name.clone(), service)).collect();
        // Services of this run that were there before: a dry run creates none on which others depend.
        let mut done = BTreeSet::new();
        for wanted in &stack.services {
            let mut spec = wanted.clone();
            self.leave_out_missing(&mut spec);
            if self.each.take(resolve_anchors(client, &mut spec).await).is_none() {
                continue;
            }
            if self.args.dry_run.is_some() {
                let is_there = |name: &String| known.contains_key(name) || done.contains(name);
                spec.depends_on.iter_mut().for_each(|names| names.retain(is_there));
            }
            let before = known.remove(&spec.name);
            done.extend(before.as_ref().map(|before| before.spec.name.clone()));
            let result = match before {
                Some(before) => self.update(client, &before, spec).await,
                None => self.create(client, spec).await,
            };
            self.take(result);
        }
        for (name, service) in known.into_iter().filter(|_| self.args.prune) {
            if self.args.dry_run.is_none() {
                say(format!("Removing service {name}"));
            }
            let removed = client.delete(&format!("/services/{}", escape(&service.id))).await;
            self.take(removed);
        }
        Ok(())
    }

    fn leave_out_missing(&self, spec: &mut ServiceSpec) {
        let task = &mut spec.task_template;
        task.networks.retain(|network| !self.missing.contains(&network.target));
        if let Some(container) = &mut task.container_spec {
            container.configs.retain(|config| !self.missing.contains(&config.config_name));
            container.secrets.retain(|secret| !self.missing.contains(&secret.secret_name));
        }
    }

    /// A dry run ends each change with its answer, which is no failure. Its digest is of that change
    /// alone.
    fn take(&mut self, result: Result<(), CallError>) {
        self.each.take(result.map_err(|error| match error {
            CallError::DryRun(run, form) => {
                dry_run::end(&DryRun { digest: String::new(), ..*run }, form)
            }
            other => Failure::from(other),
        }));
    }

    async fn create(&mut self, client: &mut Client, spec: ServiceSpec) -> Result<(), CallError> {
        if self.args.dry_run.is_none() {
            say(format!("Creating service {}", spec.name));
        }
        let path = format!("/services/create?resolve={}", self.resolve());
        let created: ServiceCreated = client.post(&path, &spec).await?;
        for warning in &created.warnings {
            say(format!("warning: {}", warning.trim_end()));
        }
        self.changed.push((created.id, spec, Goal::Create));
        Ok(())
    }

    async fn update(
        &mut self,
        client: &mut Client,
        before: &Service,
        mut spec: ServiceSpec,
    ) -> Result<(), CallError> {
        keep(before, &mut spec, self.resolve());
        replace(client, before, &spec, self.resolve()).await?;
        let after: Result<Service, CallError> =
            client.get(&format!("/services/{}", escape(&before.id))).await;
        if after.is_ok_and(|after| after.version == before.version) {
            say(format!("Service {} is as the file says", spec.name));
            return Ok(());
        }
        say(format!("Updating service {} (id: {})", spec.name, before.id));
        let goal = Goal::Change(before.update_status.clone());
        self.changed.push((before.id.clone(), spec, goal));
        Ok(())
    }

    fn resolve(&self) -> &str {
        &self.args.resolve_image
    }

    async fn wait(&mut self, client: &mut Client) {
        let flags = WaitFlags { detach: false, quiet: self.args.quiet };
        for (id, spec, goal) in std::mem::take(&mut self.changed) {
            let waited = wait_for(client, (&id, &spec), &flags, goal).await;
            let waited = waited.and_then(|exit| match exit {
                Exit::Done => Ok(()),
                other => {
                    Err(Failure::new(format!("{} does not run as a whole", spec.name)).exit(other))
                }
            });
            self.each.take(waited);
        }
    }
}

/// Keeps what a file does not say: forced updates, and the digest of an image whose name is the same.
fn keep(before: &Service, spec: &mut ServiceSpec, resolve: &str) {
    let (old, new) = (&before.spec.task_template, &mut spec.task_template);
    new.force_update = old.force_update;
    let written = spec.labels.get(IMAGE);
    if resolve == "always" || written != before.spec.labels.get(IMAGE) {
        return;
    }
    if let (Some(old), Some(new)) = (&old.container_spec, &mut new.container_spec) {
        new.image.clone_from(&old.image);
    }
    let platforms = old.placement.as_ref().map(|placement| placement.platforms.clone());
    if let Some(platforms) = platforms.filter(|platforms| !platforms.is_empty()) {
        new.placement.get_or_insert_with(Placement::default).platforms = platforms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(image: &str, written: &str) -> ServiceSpec {
        let mut spec = ServiceSpec::default();
        spec.labels.insert(IMAGE.to_owned(), written.to_owned());
        spec.task_template.container_spec.get_or_insert_default().image = image.to_owned();
        spec
    }

    /// The image and the forced updates that a service gets which is deployed again.
    fn kept(written: &str, resolve: &str) -> (String, u64) {
        let mut before = Service { spec: spec("app:1@sha256:aa", "app:1"), ..Service::default() };
        before.spec.task_template.force_update = 3;
        let mut spec = spec(written, written);
        keep(&before, &mut spec, resolve);
        let container = spec.task_template.container_spec.expect("a container");
        (container.image, spec.task_template.force_update)
    }

    #[test]
    fn an_image_whose_name_stays_keeps_its_digest() {
        assert_eq!(kept("app:1", "changed"), ("app:1@sha256:aa".to_owned(), 3));
        assert_eq!(kept("app:1", "never"), ("app:1@sha256:aa".to_owned(), 3));
        assert_eq!(kept("app:1", "always"), ("app:1".to_owned(), 3), "the registry is asked again");
        assert_eq!(kept("app:2", "changed"), ("app:2".to_owned(), 3));
    }
}
