//! The services of a swarm as stacks, each written as a file that was read back.

pub mod configs;
pub mod networks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use node_docker::service::ServiceSpec;
use node_docker::state::accept;
use node_stack::write::{Cut, Fitted, fitted, key, write};
use node_stack::{Files, STACK_LABEL, Stack};
use serde_json::Value;

use super::asked::{Digests, asked};
use super::compare::{Lost, lost};
use super::swarm::{Swarm, labels, text};
use crate::failure::Failure;
use configs::references;

/// One service of the swarm.
#[derive(Debug)]
pub struct Moved {
    /// Its id in the swarm.
    pub id: String,
    /// Its name in the swarm.
    pub name: String,
    /// Its name here.
    pub here: String,
    /// The image as it ran, with its digest.
    pub image: String,
    /// The spec as it was asked for.
    pub asked: Value,
    /// As the swarm has it.
    pub original: Value,
    /// What is not in the file.
    pub lost: Vec<Lost>,
    /// Why an agent would refuse what is in the file.
    pub refusal: Option<String>,
}

/// One file.
#[derive(Debug)]
pub struct Written {
    /// The name of the stack here.
    pub name: String,
    /// Its name in the swarm; `None`: services of no stack.
    pub origin: Option<String>,
    /// Its services.
    pub services: Vec<Moved>,
    /// The networks that have to be there before.
    pub external_networks: Vec<String>,
    /// The file.
    pub fitted: Fitted,
    /// The data of its configs, with their paths below the folder.
    pub configs: BTreeMap<PathBuf, Vec<u8>>,
}

impl Written {
    /// The name of the file.
    pub fn file(&self) -> String {
        format!("{}.yaml", self.name)
    }

    /// How many things somebody has to look at before it is deployed.
    pub fn open(&self) -> usize {
        let of_service = |one: &Moved| one.lost.len() + usize::from(one.refusal.is_some());
        let secrets = self.services.iter().flat_map(|one| references(&one.original, "Secrets"));
        let configs = self.fitted.cuts.iter().any(|cut| cut.path.ends_with("configs"));
        self.services.iter().map(of_service).sum::<usize>()
            + self.other_cuts().len()
            + secrets.count()
            + usize::from(configs)
    }

    /// Why something of this value was taken out of a service.
    pub fn cut(&self, service: &Moved, value: &str) -> Option<&Cut> {
        let start = format!("services.{}.", key(&self.name, &service.here));
        self.fitted.cuts.iter().find(|cut| cut.path.starts_with(&start) && cut.value == value)
    }

    /// What was taken out and is not told as a loss of a service, or with its configs and secrets.
    pub fn other_cuts(&self) -> Vec<&Cut> {
        let is_told = |cut: &Cut| {
            let of_lost = |one: &Moved| {
                let is_it = |lost: &Lost| self.cut(one, &lost.value) == Some(cut);
                one.lost.iter().any(is_it)
            };
            is_file(cut) || self.services.iter().any(of_lost)
        };
        self.fitted.cuts.iter().filter(|cut| !is_told(cut)).collect()
    }
}

/// Is it of configs or secrets?
pub fn is_file(cut: &Cut) -> bool {
    let mut words = cut.path.split('.');
    let (first, third) = (words.next(), words.nth(1));
    [first, third].into_iter().flatten().any(|word| word == "configs" || word == "secrets")
}

/// The files beside the one that is written.
struct Beside<'a>(&'a BTreeMap<PathBuf, Vec<u8>>);

impl Files for Beside<'_> {
    fn read(&self, path: &Path) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.read_bytes(path)?).into_owned())
    }

    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        let path = path.strip_prefix(".").unwrap_or(path);
        let data = self.0.get(path).cloned();
        data.ok_or_else(|| format!("{}: no such file", path.display()))
    }
}

/// The name of a stack that is typed.
pub fn name_of(typed: &str) -> Result<&str, Failure> {
    if fleet_name(typed) == typed {
        return Ok(typed);
    }
    Err(Failure::new(format!("{typed:?} is no name of a stack"))
        .why("small letters, digits, `-` and `_`, a letter or digit first")
        .hint(format!("--name {}", fleet_name(typed))))
}

/// The nearest name that a stack may have.
fn fleet_name(name: &str) -> String {
    let sign = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) { c.to_ascii_lowercase() } else { '-' }
    };
    let name: String = name.chars().map(sign).collect();
    let name = name.trim_start_matches(['-', '_']);
    if name.is_empty() { "stack".to_owned() } else { name.to_owned() }
}

/// All stacks of a swarm; `rest` has the services that are in none.
pub fn written(swarm: &Swarm, rest: &str, digests: Digests) -> Result<Vec<Written>, Failure> {
    let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for service in &swarm.services {
        let stack = labels(service, "/Spec/Labels").remove(STACK_LABEL).unwrap_or_default();
        groups.entry(stack).or_default().push(service);
    }
    let (mut taken, mut all) = (BTreeSet::new(), Vec::new());
    // Stacks keep their names before the services that are in none are given one.
    let single = groups.remove("").map(|services| (String::new(), services));
    for (origin, services) in groups.into_iter().chain(single) {
        let wanted = if origin.is_empty() { rest.to_owned() } else { fleet_name(&origin) };
        let name = free(wanted, &mut taken);
        let origin = Some(origin).filter(|origin| !origin.is_empty());
        all.push(one(swarm, (&name, origin), &services, digests)?);
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn free(wanted: String, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let free = std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or(wanted);
    taken.insert(free.clone());
    free
}

fn one(
    swarm: &Swarm,
    (name, origin): (&str, Option<String>),
    services: &[&Value],
    digests: Digests,
) -> Result<Written, Failure> {
    let prefix = origin.as_ref().map(|origin| format!("{origin}_")).unwrap_or_default();
    let mut moved = Vec::new();
    let mut specs = Vec::new();
    let mut keyed = Vec::new();
    for service in services {
        let mut asked = asked(service, swarm, name, digests);
        let called = text(service, "/Spec/Name");
        let entry = called.strip_prefix(&prefix).unwrap_or(called).to_owned();
        let here = format!("{name}_{entry}");
        asked["Name"] = Value::String(here.clone());
        networks::place(&mut asked, &entry, (name, origin.as_deref()), swarm);
        keyed.push((entry, *service));
        let read: Result<ServiceSpec, _> =
            node_docker::read(without_configs(&asked).to_string().as_bytes());
        let refusal = read.as_ref().err().map(|bad| format!("it cannot be read: {bad}"));
        specs.extend(read.ok());
        moved.push(Moved {
            id: text(service, "/ID").to_owned(),
            name: called.to_owned(),
            here,
            image: text(service, "/Spec/TaskTemplate/ContainerSpec/Image").to_owned(),
            asked,
            original: (*service).clone(),
            lost: Vec::new(),
            refusal,
        });
    }
    let (networks, external_networks) = networks::of(swarm, (name, origin.as_deref()), &specs);
    let external = external_networks.clone();
    let stack = Stack {
        name: name.to_owned(),
        networks,
        external_networks,
        configs: Vec::new(),
        external_configs: Vec::new(),
        secrets: Vec::new(),
        external_secrets: Vec::new(),
        services: specs,
        notes: Vec::new(),
    };
    let mut tree = write(&stack);
    let configs = configs::add(&mut tree, &keyed, swarm);
    let fitted = fitted(tree, &Beside(&configs)).map_err(|problems| {
        let failure = Failure::new(format!("the stack {name} cannot be written"));
        problems.iter().fold(failure, |failure, problem| failure.why(problem.to_string()))
    })?;
    for one in &mut moved {
        let here = fitted.stack.services.iter().find(|spec| spec.name == one.here);
        let now = here.and_then(|spec| serde_json::to_value(spec).ok()).unwrap_or_default();
        one.lost = lost(&one.asked, &now);
        let refused = here.and_then(|spec| accept(resolved(spec), None).err());
        one.refusal = one.refusal.take().or(refused.map(|bad| bad.to_string()));
    }
    Ok(Written {
        name: name.to_owned(),
        origin,
        services: moved,
        external_networks: external,
        fitted,
        configs,
    })
}

/// Configs are added where the files with their data are known.
fn without_configs(asked: &Value) -> Value {
    let mut asked = asked.clone();
    if let Some(Value::Object(container)) = asked.pointer_mut("/TaskTemplate/ContainerSpec") {
        container.remove("Configs");
        container.remove("Secrets");
    }
    asked
}

/// The spec with ids in place of the names of its networks, as an agent looks at it.
fn resolved(spec: &ServiceSpec) -> ServiceSpec {
    let mut spec = spec.clone();
    for (network, number) in spec.task_template.networks.iter_mut().zip(10..) {
        if network.target != "host" && network.target != "none" {
            network.target = format!("{}{number}", "a".repeat(23));
        }
    }
    if let Some(container) = &mut spec.task_template.container_spec {
        container.configs.iter_mut().for_each(|config| config.config_id = "a".repeat(25));
        container.secrets.iter_mut().for_each(|secret| secret.secret_id = "a".repeat(25));
    }
    spec
}
