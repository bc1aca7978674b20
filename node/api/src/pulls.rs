//! Images that this node pulls: `POST /images/create?fromImage=…` with Docker's progress, and the
//! list of running pulls (`/edge/pulls`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use runtime::image::auth::Login;
use runtime::image::{Digest, Image, Origin, PullError, Reference};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Api;
use super::failure::Failure;
use super::pin;
use super::progress_stream::{self, Lines};
use super::recent::Recent;
use node_agent::images::{ImagePuller, PullEvent, PullRequest};

/// Between two checks of the progress of layers.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Pulls an image for an operator: a tag is resolved again. `tag` may be a digest.
pub async fn pull(
    api: Api,
    image: &str,
    tag: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let login = pin::login(headers)?;
    let name = match tag.filter(|tag| !tag.is_empty()) {
        Some(digest) if digest.contains(':') => format!("{image}@{digest}"),
        Some(tag) => format!("{image}:{tag}"),
        None => image.to_owned(),
    };
    let bad = |bad: runtime::image::BadReference| Failure::Bad(bad.to_string());
    let reference = name.parse::<Reference>().map_err(bad)?.with_default_tag();
    let puller = api.handle.puller().clone();
    let before = puller.images().digest_of(&reference).map(|named| named.digest);
    let (events, mut said) = mpsc::unbounded_channel();
    let mut fetching = Fetching::begin(puller.clone(), reference.clone(), login, events);
    // Until the manifest is here, a failure has a status of its own.
    let layers = tokio::select! {
        ended = &mut fetching.0 => {
            if let Err(error) = flat(ended) {
                return Err(error.into());
            }
            fetching = Fetching(tokio::spawn(async { Err(PullError::Ending) }));
            None
        }
        // The puller drops the sender when it ends; the other arm reports the result.
        Some(event) = said.recv() => Some(event),
    };
    let (lines, response) = progress_stream::lines();
    let recent = api.recent.clone();
    let show = Show { puller, recent, reference, before, lines, layers: BTreeMap::new() };
    tokio::spawn(show.run(layers, said, fetching));
    Ok(response)
}

/// The running pull; it ends when this is dropped.
struct Fetching(tokio::task::JoinHandle<Result<Image, PullError>>);

impl Fetching {
    fn begin(
        puller: ImagePuller,
        reference: Reference,
        login: Option<Login>,
        events: mpsc::UnboundedSender<PullEvent>,
    ) -> Fetching {
        Fetching(tokio::spawn(async move {
            let origin = Origin::Pulled;
            let request =
                PullRequest { reference: &reference, login, origin, events: Some(events) };
            puller.fetch(request).await
        }))
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn flat(
    ended: Result<Result<Image, PullError>, tokio::task::JoinError>,
) -> Result<Image, PullError> {
    ended.unwrap_or(Err(PullError::Ending))
}

/// The progress of one pull for a client.
struct Show {
    puller: ImagePuller,
    recent: Recent,
    reference: Reference,
    before: Option<Digest>,
    lines: Lines,
    /// Layers that are not complete, with the number of bytes that was shown for each.
    layers: BTreeMap<Digest, u64>,
}

impl Show {
    async fn run(
        mut self,
        first: Option<PullEvent>,
        mut said: mpsc::UnboundedReceiver<PullEvent>,
        mut fetching: Fetching,
    ) {
        let tag = self.reference.tag.clone().unwrap_or_default();
        let from = format!("Pulling from {}", self.reference.repository);
        self.lines.put(json!({"status": from, "id": tag})).await;
        // Nothing had to be fetched.
        let Some(first) = first else { return self.done().await };
        self.on_event(first).await;
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        let ended = loop {
            tokio::select! {
                Some(event) = said.recv() => self.on_event(event).await,
                ended = &mut fetching.0 => break flat(ended),
                _ = check.tick() => self.refresh().await,
                () = self.lines.abandoned() => return,
            }
        };
        while let Ok(event) = said.try_recv() {
            self.on_event(event).await;
        }
        match ended {
            Ok(_) => self.done().await,
            Err(error) => self.lines.failed(&error.to_string()).await,
        }
    }

    async fn on_event(&mut self, event: PullEvent) {
        match event {
            PullEvent::Layers(layers) => {
                let mut shown = BTreeSet::new();
                for layer in layers.into_iter().filter(|layer| shown.insert(layer.digest.clone())) {
                    let id = layer.digest.short();
                    if self.puller.images().has_blob(&layer.digest).is_some() {
                        self.lines.status(id, "Already exists").await;
                    } else {
                        self.lines.status(id, "Pulling fs layer").await;
                        self.layers.insert(layer.digest.clone(), 0);
                    }
                }
            }
            PullEvent::LayerHere(digest) => {
                if self.layers.remove(&digest).is_some() {
                    self.lines.status(digest.short(), "Pull complete").await;
                }
            }
        }
    }

    async fn refresh(&mut self) {
        for pull in self.puller.pulls() {
            let Some(shown) = self.layers.get_mut(&pull.digest) else { continue };
            if *shown == pull.received {
                continue;
            }
            *shown = pull.received;
            let (id, total) = (pull.digest.short(), pull.size.unwrap_or(0));
            self.lines.progress(id, "Downloading", pull.received, total).await;
        }
    }

    async fn done(&self) {
        let after = self.puller.images().digest_of(&self.reference).map(|named| named.digest);
        if let Some(digest) = &after {
            self.lines.status("", &format!("Digest: {digest}")).await;
        }
        let what = match self.before == after {
            true => "Image is up to date for",
            false => "Downloaded newer image for",
        };
        let name = self.reference.to_string();
        self.recent.tell("image", "pull", &name, &[("name", &name)]);
        self.lines.status("", &format!("Status: {what} {name}")).await;
    }
}

/// `GET /edge/pulls`.
pub async fn list(State(api): State<Api>) -> Json<Value> {
    let puller = api.handle.puller();
    let pulls = puller.pulls().into_iter().map(|pull| {
        json!({
            "Digest": pull.digest,
            "Image": pull.image,
            "Size": pull.size.unwrap_or(0),
            "Received": pull.received,
            "From": pull.from,
            "ElapsedMs": u64::try_from(pull.age.as_millis()).unwrap_or(u64::MAX),
        })
    });
    Json(json!({
        "Paused": puller.is_paused(),
        "RateLimit": puller.rate_limit().unwrap_or(0),
        "Pulls": pulls.collect::<Vec<_>>(),
    }))
}

/// `POST /edge/pulls/pause`.
pub async fn pause(State(api): State<Api>) -> StatusCode {
    api.handle.puller().pause();
    StatusCode::NO_CONTENT
}

/// `POST /edge/pulls/resume`.
pub async fn resume(State(api): State<Api>) -> StatusCode {
    api.handle.puller().resume();
    StatusCode::NO_CONTENT
}
