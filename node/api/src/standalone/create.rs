//! `POST /containers/create`.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use crdt_state::spec::Platform;
use node_core::{Edit, Edited};
use node_docker::standalone::{Asked, Publish, read_create};
use node_docker::standalone_id;
use runtime::image::{ImageError, Images, Reference};
use serde::Deserialize;
use serde_json::{Value, json};

use super::task_of;
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::{Answer, Api, Sent, networks};

/// The first word of a name that is made up.
const MANNERS: [&str; 32] = [
    "amber", "brisk", "calm", "clear", "deft", "eager", "early", "fair", "firm", "fresh", "gentle",
    "glad", "hardy", "keen", "kind", "lively", "lucid", "mellow", "neat", "nimble", "patient",
    "plain", "quick", "quiet", "ready", "solid", "steady", "sunny", "swift", "tidy", "warm",
    "wise",
];

/// The second word.
const THINGS: [&str; 32] = [
    "anchor", "anvil", "basin", "beacon", "bridge", "canyon", "cedar", "compass", "delta", "dune",
    "ember", "ferry", "fjord", "gable", "garnet", "harbor", "heron", "island", "kettle", "lantern",
    "ledger", "maple", "meadow", "orchard", "otter", "pebble", "quarry", "river", "spruce",
    "summit", "valley", "willow",
];

/// The parameters of `POST /containers/create`.
#[derive(Debug, Default, Deserialize)]
pub struct CreateQuery {
    name: Option<String>,
    platform: Option<String>,
}

/// What is known of the image of a container.
struct Found {
    /// Its name with the digest that it has now: a tag may mean another image later.
    pinned: String,
    /// The ports that it declares.
    exposed: Vec<String>,
    platform: Platform,
}

/// `POST /containers/create`.
pub async fn create(
    State(api): State<Api>,
    query: Answer<Query<CreateQuery>>,
    body: Sent,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let query = query?.0;
    let snapshot = Snapshot::latest(&api).await?;
    let given = query.name.as_deref().unwrap_or_default().trim_start_matches('/');
    let name = match given {
        "" => made_up_name(&snapshot)?,
        given => given.to_owned(),
    };
    check_name(&snapshot, &name)?;
    let (mut asked, publish) = read_create(&body?, &name, snapshot.me)?;
    let found = image(&api, &asked).await?;
    if publish == Publish::Exposed {
        asked.publish(&found.exposed)?;
    }
    check_platform(query.platform.as_deref(), &found)?;
    // Docker's client takes 404 for an image that is not here, and would pull it.
    let told = networks::resolve(&snapshot, asked.spec_mut()).map_err(|failure| match failure {
        Failure::Missing(why) => Failure::Bad(why),
        failure => failure,
    })?;
    let spec = asked.accept(found.pinned)?;
    spec.check()?;
    let edited = api.edit(Edit::CreateService(Box::new(spec))).await?;
    let Edited::Service(id) = edited else {
        unreachable!("a creation answers with the service that it made")
    };
    let me = snapshot.me;
    let task = api.read(move |node, _| node.service(id).map(|service| task_of(service, me)));
    let gone = || Failure::Missing(format!("{name} was removed as soon as it was there"));
    let task = task.await?.ok_or_else(gone)?;
    let told = told.map(|words| words.replacen("the service is", "the container is", 1));
    let warnings: Vec<String> = told.into_iter().collect();
    let created = json!({ "Id": standalone_id(task), "Warnings": warnings });
    Ok((StatusCode::CREATED, Json(created)))
}

/// A name that a container or a service has is not given again.
pub fn check_name(snapshot: &Snapshot, name: &str) -> Result<(), Failure> {
    let Some(holder) = snapshot.services.iter().find(|service| service.name == name) else {
        return Ok(());
    };
    Err(Failure::Conflict(match holder.template.extension.standalone {
        Some(standalone) => {
            let id = standalone_id(task_of(holder, standalone.node));
            let node = snapshot.hostname(standalone.node);
            format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{id}\" of \
                 node {node}. You have to remove (or rename) that container to be able to reuse \
                 that name: docker rm {name}"
            )
        }
        None => format!(
            "Conflict. The name \"{name}\" is that of a service, and names lead to one thing in \
             the fleet; give another one with --name, or edgectl service rm {name}"
        ),
    }))
}

async fn image(api: &Api, asked: &Asked) -> Result<Found, Failure> {
    let typed = asked.image.clone();
    if typed.is_empty() {
        return Err(Failure::Bad("no image is named; write one like nginx:1.27".to_owned()));
    }
    let missing = Failure::Missing(format!("No such image: {typed}"));
    match api.images(move |images| found(images, &typed)).await {
        Ok(found) => Ok(found),
        Err(Failure::Missing(_)) => Err(missing),
        Err(failure) => Err(failure),
    }
}

fn found(images: &Images, typed: &str) -> Result<Found, ImageError> {
    let row = images.inspect(typed)?;
    let by_name = typed.parse::<Reference>().ok().map(Reference::with_default_tag);
    let by_name = by_name.filter(|name| name.digest.is_some() || row.names.contains(name));
    let unknown = || ImageError::Unknown(typed.to_owned());
    let mut name = by_name.or_else(|| row.names.first().cloned()).ok_or_else(unknown)?;
    name.digest = Some(row.digest.clone());
    let exposed = row.image.config.config().as_ref().and_then(|c| c.exposed_ports().clone());
    Ok(Found {
        pinned: name.to_string(),
        exposed: exposed.unwrap_or_default(),
        platform: row.image.platform,
    })
}

/// `--platform`: the image that is here is made for one.
fn check_platform(wanted: Option<&str>, found: &Found) -> Result<(), Failure> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(()) };
    let Platform { os, arch, .. } = &found.platform;
    let mut parts = wanted.split('/');
    let (wanted_os, wanted_arch) = (parts.next().unwrap_or_default(), parts.next());
    let fits = wanted_os == os && wanted_arch.is_none_or(|wanted| wanted == arch);
    if fits {
        return Ok(());
    }
    Err(Failure::Missing(format!(
        "No such image: the one that is here is for {os}/{arch}, not {wanted}; leave --platform out, \
         or pull that one"
    )))
}

/// Two words, as in Docker.
fn made_up_name(snapshot: &Snapshot) -> Result<String, Failure> {
    for _ in 0..16 {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| {
            Failure::Unavailable(format!("no name can be made up: {error}; give one with --name"))
        })?;
        let word = |list: &[&'static str], at: u8| list[usize::from(at) % list.len()];
        let name = format!("{}_{}", word(&MANNERS, random[0]), word(&THINGS, random[1]));
        if check_name(snapshot, &name).is_ok() {
            return Ok(name);
        }
        let name = format!("{name}{}", u16::from_be_bytes([random[2], random[3]]));
        if check_name(snapshot, &name).is_ok() {
            return Ok(name);
        }
    }
    Err(Failure::Unavailable("no free name was found; give one with --name".to_owned()))
}
