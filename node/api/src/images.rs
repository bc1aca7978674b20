//! `/images/…`: the images of this node, in the shape of Docker's API.
//!
//! The names of images contain slashes, so one route takes everything behind `/images/` and checks
//! its last part. All work on the store is done on blocking threads. It must never ask another
//! node: an image that is not here is missing.

mod object;
pub mod transfer;

use std::collections::BTreeSet;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use runtime::image::{
    Freed, ImageError, ImageRow, Images, Origin, Prune, Reference, Removal, Users,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::Failure;
use super::filters::Filters;
use super::{Answer, Api, containers, pushes, volumes};
use node_agent::users;

/// The routes below `/images/`, and other routes about images.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/images/json", get(list))
        .route("/images/load", post(transfer::load))
        .route("/images/create", post(transfer::create))
        .route("/images/prune", post(prune))
        .route("/images/get", get(transfer::save))
        .route("/images/{*name}", get(read).post(change).delete(remove))
        .route("/system/df", get(disk_usage))
        .route("/edge/images/verify", post(verify))
}

const FILTERS: [&str; 3] = ["dangling", "label", "reference"];
const PRUNE_FILTERS: [&str; 1] = ["dangling"];

/// The parameters of `GET /images/json` and `POST /images/prune`.
#[derive(Debug, Default, Deserialize)]
pub struct FilterQuery {
    filters: Option<String>,
}

/// The parameters of `DELETE /images/{name}`.
#[derive(Debug, Default, Deserialize)]
pub struct RemoveQuery {
    force: Option<String>,
}

/// The parameters of `POST /images/{name}/tag`.
#[derive(Debug, Default, Deserialize)]
pub struct TagQuery {
    repo: Option<String>,
    tag: Option<String>,
}

impl Api {
    /// Runs work on the images on a blocking thread.
    pub(super) async fn images<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Images) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, Failure> {
        let images = self.handle.images().clone();
        let done = tokio::task::spawn_blocking(move || work(&images)).await;
        let ended = |_| Failure::Unavailable("the agent is ending".to_owned());
        Ok(done.map_err(ended)??)
    }

    /// The same, with the runs that use each image.
    async fn images_in_use<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Images, &Users) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, Failure> {
        let runs = self.handle.runs().to_owned();
        self.images(move |images| work(images, &users(images, &runs))).await
    }
}

/// `GET /images/json`.
async fn list(
    State(api): State<Api>,
    query: Answer<Query<FilterQuery>>,
) -> Result<Json<Vec<Value>>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &FILTERS)?;
    let mut rows = api.images(Images::list).await?;
    rows.retain(|row| fits(&filters, row));
    // Of an image with several names only the matching names are shown.
    let asked = |name: &Reference| filters.holds("reference", |wanted| is_named(name, wanted));
    rows.iter_mut().for_each(|row| row.names.retain(asked));
    let mut objects: Vec<_> = rows.iter().map(object::summary).collect();
    objects.sort_by_key(|object| std::cmp::Reverse(object["Created"].as_i64()));
    Ok(Json(objects))
}

fn fits(filters: &Filters, row: &ImageRow) -> bool {
    let is_dangling = row.names.is_empty();
    filters.holds("dangling", |wanted| (wanted == "true" || wanted == "1") == is_dangling)
        && filters.holds("reference", |wanted| row.names.iter().any(|name| is_named(name, wanted)))
        && filters.labels_hold("label", &object::labels(row))
}

fn is_named(name: &Reference, wanted: &str) -> bool {
    let familiar = name.to_string();
    familiar == wanted || matches(wanted, &name.familiar_name()) || matches(wanted, &familiar)
}

/// `team/*:1`: a star matches any text without a slash.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let end = rest.find('/').unwrap_or(rest.len());
            (0..=end).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
        }),
    }
}

/// `GET /images/{name}/json`, `/history` and `/get`.
async fn read(State(api): State<Api>, Path(path): Path<String>) -> Result<Response, Failure> {
    let Some((name, what)) = path.rsplit_once('/') else { return Err(no_such(&path)) };
    let name = name.to_owned();
    match what {
        "json" => {
            let inspected = api.images(move |images| {
                let row = images.inspect(&name)?;
                Ok(object::inspected(images, &row))
            });
            Ok(Json(inspected.await?).into_response())
        }
        "history" => {
            let object = api.images(move |images| {
                let id = images.inspect(&name)?;
                Ok(object::history(&id, &images.history(&name)?))
            });
            Ok(Json(object.await?).into_response())
        }
        "get" => transfer::saved(&api, vec![name]).await,
        _ => Err(no_such(&path)),
    }
}

/// `POST /images/{name}/tag` and `/push`.
async fn change(
    State(api): State<Api>,
    Path(path): Path<String>,
    query: Answer<Query<TagQuery>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = query?.0;
    if let Some(name) = path.strip_suffix("/push") {
        return pushes::push(api, name, query.tag.as_deref(), &headers).await;
    }
    let Some(name) = path.strip_suffix("/tag").map(str::to_owned) else {
        return Err(no_such(&path));
    };
    let mut new = query.repo.unwrap_or_default();
    if let Some(tag) = query.tag.filter(|tag| !tag.is_empty()) {
        new = format!("{new}:{tag}");
    }
    let tagged = api.images(move |images| {
        let reference = new.parse::<Reference>()?.with_default_tag();
        let digest = images.resolve(&name)?;
        images.set_name(&reference, &digest, Origin::Loaded)?;
        Ok((digest, reference.to_string()))
    });
    let (digest, name) = tagged.await?;
    api.recent.tell("image", "tag", digest.as_str(), &[("name", &name)]);
    Ok(StatusCode::CREATED.into_response())
}

fn no_such(path: &str) -> Failure {
    Failure::Missing(format!(
        "/images/{path}: page not found; behind the name of an image stands /json, /history, \
         /get, /tag or /push"
    ))
}

/// `DELETE /images/{name}`.
async fn remove(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: Answer<Query<RemoveQuery>>,
) -> Result<Json<Vec<Value>>, Failure> {
    let force = matches!(query?.force.as_deref(), Some("1" | "true"));
    let removal = if force { Removal::Forced } else { Removal::Careful };
    let named = name.clone();
    let freed = api.images_in_use(move |images, users| {
        let digest = images.resolve(&named);
        let freed = images.remove(&named, users, removal)?;
        let whole = digest.ok().filter(|digest| freed.deleted.contains(digest));
        Ok((freed, whole.map(|digest| digest.to_string())))
    });
    match (freed.await, &name) {
        (Ok((freed, whole)), name) => {
            tell_untagged(&api, &freed);
            if let Some(id) = whole {
                api.recent.tell("image", "delete", &id, &[("name", &id)]);
            }
            pushes::withdraw(&api, name).await?;
            Ok(Json(gone(&freed)))
        }
        // The fleet may know the image although it is not here.
        (Err(Failure::Missing(_)), name) if pushes::withdraw(&api, name).await? => {
            Ok(Json(vec![json!({"Untagged": name})]))
        }
        (Err(failure), _) => Err(failure),
    }
}

/// `POST /images/prune`.
async fn prune(
    State(api): State<Api>,
    query: Answer<Query<FilterQuery>>,
) -> Result<Json<Value>, Failure> {
    let filters = Filters::parse(query?.filters.as_deref(), &PRUNE_FILTERS)?;
    let nameless = filters.holds("dangling", |wanted| wanted == "true" || wanted == "1");
    let prune = if nameless { Prune::Nameless } else { Prune::Unused };
    let freed = api.images_in_use(move |images, users| images.prune(prune, users)).await?;
    tell_untagged(&api, &freed);
    api.recent.tell("image", "prune", "", &[("reclaimed", &freed.bytes.to_string())]);
    Ok(Json(json!({"ImagesDeleted": gone(&freed), "SpaceReclaimed": freed.bytes})))
}

fn tell_untagged(api: &Api, freed: &Freed) {
    for name in &freed.untagged {
        api.recent.tell("image", "untag", name, &[("name", name)]);
    }
}

fn gone(freed: &Freed) -> Vec<Value> {
    let untagged = freed.untagged.iter().map(|name| json!({"Untagged": name}));
    untagged.chain(freed.deleted.iter().map(|digest| json!({"Deleted": digest}))).collect()
}

/// `GET /system/df`. Of containers those that run are listed, without what they wrote.
async fn disk_usage(State(api): State<Api>) -> Result<Json<Value>, Failure> {
    let (rows, usage, used) = api
        .images_in_use(|images, users| {
            let used: BTreeSet<_> = users.keys().cloned().collect();
            Ok((images.list()?, images.usage(), used))
        })
        .await?;
    let image = |row: &ImageRow| {
        let mut object = object::summary(row);
        object["Containers"] = json!(i32::from(used.contains(&row.digest)));
        object
    };
    let running = Ok(Query(containers::ListQuery::default()));
    let Json(running) = containers::list(State(api.clone()), running).await?;
    Ok(Json(json!({
        "LayersSize": usage.blob_bytes + usage.layer_bytes,
        "Images": rows.iter().map(image).collect::<Vec<_>>(),
        "Containers": running,
        "Volumes": volumes::with_usage(&api).await?,
        "BuildCache": [],
        "Edge": {
            "Blobs": usage.blobs, "BlobBytes": usage.blob_bytes,
            "Layers": usage.layers, "LayerBytes": usage.layer_bytes,
            "PartialBytes": usage.partial_bytes,
        },
    })))
}

/// `POST /edge/images/verify`.
async fn verify(State(api): State<Api>) -> Result<Json<Value>, Failure> {
    let found = api.images(Images::verify).await?;
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    Ok(Json(json!({"Damaged": texts})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_but_a_slash() {
        for (pattern, text, fits) in [
            ("team/*:1", "team/app:1", true),
            ("*:1", "team/app:1", false),
            ("*/*:*", "team/app:1", true),
            ("app*", "app", true),
            ("app", "app:1", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
