//! Pushes to a registry: the blobs that it lacks, then the manifest that names them.

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, BufReader};

use super::RegistryClient;
use super::endpoint::Endpoint;
use super::failure::RegistryError;

/// Bytes read and sent at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// A file to send.
pub struct Source {
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// The open file, at its beginning.
    pub file: std::fs::File,
}

impl RegistryClient {
    /// Whether the registry has a blob.
    pub async fn has_blob(&self, digest: &str) -> Result<bool, RegistryError> {
        let endpoint = self.origin();
        let url = endpoint.url(&format!("blobs/{digest}")).await?;
        let response = endpoint.ask(Method::HEAD, &url, HeaderMap::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => endpoint.expect(response, || digest.to_owned()).map(|_| true),
        }
    }

    /// Sends a blob, and says after each piece how many bytes of it are under way.
    pub async fn push_blob(
        &self,
        source: Source,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<(), RegistryError> {
        let endpoint = self.origin();
        let location = begin(endpoint).await?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{separator}digest={}", source.digest);
        let body = reqwest::Body::wrap_stream(pieces(source.file, sent));
        let request = endpoint
            .request(Method::PUT, &url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, source.size)
            .body(body);
        // The answer comes when all is sent: at the slowest, 16 KiB a second.
        let deadline =
            endpoint.timeouts().answer + std::time::Duration::from_secs(source.size / (16 * 1024));
        let response = endpoint.send_within(request, deadline).await?;
        endpoint.expect(response, || format!("the upload of {}", source.digest)).map(|_| ())
    }

    /// Puts a manifest or an index under a tag or its digest.
    pub async fn push_manifest(
        &self,
        name: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), RegistryError> {
        let endpoint = self.origin();
        let url = endpoint.url(&format!("manifests/{name}")).await?;
        let request =
            endpoint.request(Method::PUT, &url).header(CONTENT_TYPE, media_type).body(bytes);
        let response = endpoint.send(request).await?;
        endpoint.expect(response, || name.to_owned()).map(|_| ())
    }
}

/// Where the registry wants the bytes. Whatever it wants to see first is shown here.
async fn begin(endpoint: &Endpoint) -> Result<String, RegistryError> {
    let url = endpoint.url("blobs/uploads/").await?;
    let empty = HeaderMap::from_iter([(CONTENT_LENGTH, 0.into())]);
    let response = endpoint.ask(Method::POST, &url, empty).await?;
    let response = endpoint.expect(response, || "a place for uploads".to_owned())?;
    let nonsense = || RegistryError::Nonsense {
        host: endpoint.name().to_owned(),
        why: "it does not say where uploads go".to_owned(),
    };
    let location = response.headers().get(LOCATION).and_then(|text| text.to_str().ok());
    let location = location.ok_or_else(nonsense)?;
    let base = reqwest::Url::parse(&url).map_err(|_| nonsense())?;
    base.join(location).map(String::from).map_err(|_| nonsense())
}

fn pieces(
    file: std::fs::File,
    sent: impl Fn(u64) + Send + Sync + 'static,
) -> impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> {
    let file = BufReader::with_capacity(PIECE_BYTES, tokio::fs::File::from_std(file));
    futures_util::stream::unfold((file, 0, sent), |(mut file, total, sent)| async move {
        let mut piece = bytes::BytesMut::with_capacity(PIECE_BYTES);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(count) => {
                let total = total + count as u64;
                sent(total);
                Some((Ok(piece.freeze()), (file, total, sent)))
            }
            Err(error) => Some((Err(error), (file, total, sent))),
        }
    })
}
