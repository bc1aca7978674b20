//! Images that this node sends: to a registry, with Docker's progress, and to the fleet itself
//! (`POST /edge/images/publish?name=…`), which needs no registry.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use crdt_state::FleetImage;
use node_core::Edit;
use runtime::image::{BadReference, Digest, Reference, platform};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::progress_stream::{self, Lines};
use super::{Answer, Api, pin};
use node_agent::images::{PushEvent, Pushed};
use node_docker::Timestamp;

/// The parameters of `POST /edge/images/publish`.
#[derive(Debug, Default, Deserialize)]
pub struct PublishQuery {
    name: String,
}

/// Pushes the image of this name to the registry in the name.
pub async fn push(
    api: Api,
    name: &str,
    tag: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let login = pin::login(headers)?;
    let name = match tag.filter(|tag| !tag.is_empty()) {
        Some(tag) => format!("{name}:{tag}"),
        None => name.to_owned(),
    };
    let reference = read(&name)?;
    let puller = api.handle.puller().clone();
    if puller.images().digest_of(&reference).is_none() {
        let why = "An image does not exist locally with the tag";
        return Err(Failure::Missing(format!("{why}: {reference}; edgectl image ls")));
    }
    let (lines, response) = progress_stream::lines();
    tokio::spawn(async move {
        let (events, said) = mpsc::unbounded_channel();
        let (registry, repository) = (&reference.registry, &reference.repository);
        let refers = format!("The push refers to repository [{registry}/{repository}]");
        lines.status("", &refers).await;
        let told = tell(&lines, said);
        let work = async { (puller.push(&reference, login, events).await, ()) };
        let (pushed, ()) = tokio::select! {
            ((pushed, ()), ()) = async { tokio::join!(work, told) } => (pushed, ()),
            () = lines.abandoned() => return,
        };
        match pushed {
            Ok(pushed) => done(&lines, &reference, &pushed).await,
            Err(error) => lines.failed(&error.to_string()).await,
        }
    });
    Ok(response)
}

fn read(name: &str) -> Result<Reference, Failure> {
    let bad = |bad: BadReference| Failure::Bad(bad.to_string());
    Ok(name.parse::<Reference>().map_err(bad)?.with_default_tag())
}

/// Shows the progress; at most twenty lines for a blob of any size.
async fn tell(lines: &Lines, mut said: mpsc::UnboundedReceiver<PushEvent>) {
    let mut shown: Option<(Digest, u64)> = None;
    while let Some(event) = said.recv().await {
        match event {
            PushEvent::There(digest) => {
                lines.status(digest.short(), "Layer already exists").await;
            }
            PushEvent::Sending(digest, bytes, size) => {
                let share = bytes.saturating_mul(20) / size.max(1);
                let now = Some((digest.clone(), share));
                if shown != now {
                    shown = now;
                    lines.progress(digest.short(), "Pushing", bytes, size).await;
                }
            }
            PushEvent::Sent(digest) => {
                lines.status(digest.short(), "Pushed").await;
            }
        }
    }
}

async fn done(lines: &Lines, reference: &Reference, pushed: &Pushed) {
    let tag = reference.tag.clone().unwrap_or_default();
    let Pushed { digest, size } = pushed;
    lines.status("", &format!("{tag}: digest: {digest} size: {size}")).await;
    let aux = json!({"Tag": tag, "Digest": digest, "Size": size});
    lines.put(json!({"progressDetail": {}, "aux": aux})).await;
}

/// Publishes an image of this node in the fleet and copies it to two more members.
pub async fn publish(
    State(api): State<Api>,
    query: Answer<Query<PublishQuery>>,
) -> Result<Response, Failure> {
    let reference = read(&query?.0.name)?;
    let puller = api.handle.puller().clone();
    let (pinned, edit) = puller.announcement(&reference).await?;
    api.edit(edit).await?;
    let (lines, response) = progress_stream::lines();
    tokio::spawn(async move {
        lines.status("", &format!("{reference} is known to the fleet")).await;
        lines.status("", "Copying it to two more nodes").await;
        let copies = puller.copy_out(&reference, &pinned.digest).await;
        for (node, why) in &copies.failed {
            lines.status(node, &format!("No copy yet: {why}")).await;
        }
        let kept = copies.kept.join(", ");
        let status = match copies.kept.len() {
            0 => "No other node has a copy: keep this one running until there is one".to_owned(),
            _ => format!("Also on {kept}"),
        };
        lines.status("", &status).await;
        let aux =
            json!({"Name": reference.to_string(), "Digest": pinned.digest, "Copies": copies.kept});
        lines.put(json!({"progressDetail": {}, "aux": aux})).await;
    });
    Ok(response)
}

/// Removes a name from the fleet's images; returns whether it was there. Nodes that have the bytes
/// remove them when no service needs them.
pub async fn withdraw(api: &Api, name: &str) -> Result<bool, Failure> {
    let Ok(reference) = name.parse::<Reference>() else { return Ok(false) };
    let name = reference.with_default_tag().canonical();
    let wanted = name.clone();
    let known = api.read(move |node, _| FleetImage::named(node.replica(), &wanted).is_some());
    if !known.await? {
        return Ok(false);
    }
    api.edit(Edit::RemoveImage { name }).await?;
    Ok(true)
}

/// `GET /edge/images`: the images that the fleet has without a registry.
pub async fn of_fleet(State(api): State<Api>) -> Result<Json<Vec<Value>>, Failure> {
    let images = api.read(|node, _| crdt_state::fleet_images(node.replica())).await?;
    let rows = images.into_iter().map(|image| {
        let platforms = image.fact.platforms.iter().map(platform::word).collect::<Vec<_>>();
        json!({
            "Name": image.name,
            "Digest": image.fact.digest,
            "Platforms": platforms,
            "Size": image.fact.size_bytes,
            "PushedAt": Timestamp(image.pushed_wall_ms),
        })
    });
    Ok(Json(rows.collect()))
}
