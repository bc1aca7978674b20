//! Images sent and received as one stream: `load`, `save`, `import`.
//!
//! The store reads and writes on a blocking thread; at most eight pieces wait between it and the
//! connection. If the client goes away in the middle, the work ends.

use std::io::{self, Read, Write};

use axum::body::{Body, Bytes};
use axum::extract::{Query, RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use runtime::image::{Import, Loaded, Reference, platform};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::super::failure::Failure;
use super::super::pulls;
use super::super::unread::read_out;
use super::super::wall_clock::wall_clock;
use super::super::{Answer, Api};

const PIECES_WAITING: usize = 8;
/// Size of a piece that is written to a connection.
const PIECE_BYTES: usize = 128 << 10;

/// The parameters of `POST /images/create`.
#[derive(Debug, Default, Deserialize)]
pub struct CreateQuery {
    #[serde(rename = "fromImage")]
    from_image: Option<String>,
    #[serde(rename = "fromSrc")]
    from_src: Option<String>,
    repo: Option<String>,
    tag: Option<String>,
    message: Option<String>,
    platform: Option<String>,
}

/// `POST /images/load`.
pub async fn load(State(api): State<Api>, body: Body) -> Result<Response, Failure> {
    let stream = incoming(body);
    let loaded = api.images(move |images| images.load(stream)).await?;
    for image in &loaded {
        let id = image.digest.to_string();
        let name = image.names.first().map_or_else(|| id.clone(), ToString::to_string);
        api.recent.tell("image", "load", &id, &[("name", &name)]);
    }
    let lines = loaded.iter().flat_map(loaded_lines);
    Ok(said(lines.map(|line| json!({"stream": line}))))
}

fn loaded_lines(image: &Loaded) -> Vec<String> {
    if image.names.is_empty() {
        return vec![format!("Loaded image ID: {}\n", image.digest)];
    }
    image.names.iter().map(|name| format!("Loaded image: {name}\n")).collect()
}

/// `POST /images/create`: pulls an image (`fromImage=`), or makes one from the tar of a file system
/// (`fromSrc=-`).
pub async fn create(
    State(api): State<Api>,
    query: Answer<Query<CreateQuery>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let query = query?.0;
    if let Some(image) = &query.from_image {
        return pulls::pull(api, image, query.tag.as_deref(), &headers).await;
    }
    if query.from_src.as_deref() != Some("-") {
        let why = "an image is imported from the body of the request (fromSrc=-); fetch what is \
                   elsewhere first: curl URL | edgectl image import - NAME";
        return Err(Failure::Bad(why.to_owned()));
    }
    let stream = incoming(body);
    let name = name(query.repo.as_deref(), query.tag.as_deref())?;
    let platform = query.platform.as_deref().filter(|text| !text.is_empty()).map(platform::parse);
    let called = name.as_ref().map(ToString::to_string).unwrap_or_default();
    let import = Import {
        platform: platform.transpose().map_err(|bad| Failure::Bad(bad.to_string()))?,
        changes: repeated(raw.as_deref(), "changes"),
        name,
        message: query.message.unwrap_or_default(),
        created: Some(wall_clock().to_rfc3339()),
    };
    let id = api.images(move |images| {
        let digest = images.import(stream, &import)?;
        Ok(images.inspect(digest.as_str())?.image.config_digest)
    });
    let id = id.await?;
    api.recent.tell("image", "import", id.as_str(), &[("name", &called)]);
    Ok(said([json!({"status": id.as_str()})]))
}

/// The name of an image, as a repository and a tag.
pub fn name(repo: Option<&str>, tag: Option<&str>) -> Result<Option<Reference>, Failure> {
    let Some(repo) = repo.filter(|repo| !repo.is_empty()) else { return Ok(None) };
    let whole = match tag.filter(|tag| !tag.is_empty()) {
        Some(tag) => format!("{repo}:{tag}"),
        None => repo.to_owned(),
    };
    whole
        .parse()
        .map(Some)
        .map_err(|bad: runtime::image::BadReference| Failure::Bad(bad.to_string()))
}

/// `GET /images/get?names=…`.
pub async fn save(State(api): State<Api>, RawQuery(raw): RawQuery) -> Result<Response, Failure> {
    let names = repeated(raw.as_deref(), "names");
    if names.is_empty() {
        return Err(Failure::Bad("no image is named; edgectl image save IMAGE".to_owned()));
    }
    saved(&api, names).await
}

/// An archive of images.
pub(super) async fn saved(api: &Api, names: Vec<String>) -> Result<Response, Failure> {
    let selection = api.images(move |images| images.select(&names)).await?;
    let images = api.handle.images().clone();
    let (pieces, receiver) = mpsc::channel(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let outgoing = Outgoing { pieces: pieces.clone(), piece: Vec::new() };
        if let Err(error) = images.save(&selection, outgoing) {
            // The connection is broken off, so that no client takes a part for the whole.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        let piece: io::Result<Bytes> = receiver.recv().await?;
        Some((piece, receiver))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-tar")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

/// Lines of JSON, in which Docker's clients expect progress.
fn said(lines: impl IntoIterator<Item = serde_json::Value>) -> Response {
    let text: String = lines.into_iter().map(|line| format!("{line}\r\n")).collect();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// All values of one parameter.
pub fn repeated(raw: Option<&str>, key: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(raw.unwrap_or_default().as_bytes());
    pairs.filter(|(name, _)| name == key).map(|(_, value)| value.into_owned()).collect()
}

/// The body of a request, for a thread that blocks.
fn incoming(body: Body) -> Incoming {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    tokio::spawn(async move {
        let mut body = body.into_data_stream();
        while let Some(piece) = body.next().await {
            if sender.send(piece.map_err(io::Error::other)).await.is_err() {
                return read_out(&mut body).await;
            }
        }
    });
    Incoming { pieces, piece: Bytes::new() }
}

struct Incoming {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

struct Outgoing {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.pieces.blocking_send(Ok(piece)).map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_may_stand_several_times() {
        let raw = Some("names=a%3A1&x=2&names=b%2Fc+d");
        assert_eq!(repeated(raw, "names"), ["a:1", "b/c d"]);
        assert_eq!(repeated(None, "names"), Vec::<String>::new());
        assert_eq!(repeated(Some("names=%zz%4"), "names"), ["%zz%4"], "no name: it is refused");
    }
}
