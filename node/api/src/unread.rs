//! The rest of a body that its handler did not read, because it refused or did not need the body.
//!
//! If the connection closes while a client still sends, the client gets a broken pipe and never the
//! reason. So the rest is read before the answer is sent, for a bounded time: a client that sends
//! without end is disconnected.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};

/// How long a refused body is still read: enough for gigabytes over a local socket.
const REFUSED_READ_MAX: Duration = Duration::from_secs(30);

/// Reads the rest of a refused body, and discards it.
pub async fn read_out(body: &mut BodyDataStream) {
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    let _ = tokio::time::timeout(REFUSED_READ_MAX, rest).await;
}

/// Lends the body to the handler, and reads the rest of it before the answer is sent. A handler
/// that answers while it still reads keeps the body.
pub async fn read_before_the_answer(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let shared = Body::new(SharedBody { body: Arc::clone(&body) });
    let response = next.run(Request::from_parts(head, shared)).await;
    if let Some(body) = Arc::into_inner(body) {
        let body = body.into_inner().expect("nothing panics while it reads a body");
        read_out(&mut body.into_data_stream()).await;
    }
    response
}

/// A body that is shared with the handler.
struct SharedBody {
    body: Arc<Mutex<Body>>,
}

impl SharedBody {
    fn with<T>(&self, read: impl FnOnce(&mut Body) -> T) -> T {
        read(&mut self.body.lock().expect("nothing panics while it reads a body"))
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use axum::routing::{get, post};
    use axum::{Router, middleware};
    use futures_util::stream;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    /// A body of ten pieces that counts those which were read.
    fn counted() -> (Body, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let pieces = stream::iter(0..10).map(move |_| {
            count.fetch_add(1, Relaxed);
            Ok::<_, std::io::Error>(Bytes::from_static(b"piece"))
        });
        (Body::from_stream(pieces), read)
    }

    fn router() -> Router {
        let refuses = || async { axum::http::StatusCode::NOT_IMPLEMENTED };
        let reads = |body: Bytes| async move { body.len().to_string() };
        let echoes = |body: Body| async move { body };
        Router::new()
            .route("/refuses", post(refuses))
            .route("/reads", post(reads))
            .route("/echoes", post(echoes))
            .route("/only-get", get(refuses))
            .layer(middleware::from_fn(read_before_the_answer))
    }

    async fn ask(path: &str) -> (Response, usize) {
        let (body, read) = counted();
        let request = Request::post(path).body(body).expect("a request");
        let answer = router().oneshot(request).await.expect("it answers");
        (answer, read.load(Relaxed))
    }

    #[tokio::test]
    async fn what_a_refusal_did_not_read_is_read_before_it_is_sent() {
        for path in ["/refuses", "/only-get", "/nowhere"] {
            let (answer, read) = ask(path).await;
            assert!(answer.status().is_client_error() || answer.status() == 501, "{path}");
            assert_eq!(read, 10, "{path}");
        }
    }

    #[tokio::test]
    async fn a_handler_that_reads_gets_everything_also_while_it_answers() {
        let (answer, _) = ask("/reads").await;
        let text = answer.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(&text[..], b"50");
        let (answer, read) = ask("/echoes").await;
        assert_eq!(read, 0, "nothing is taken from whoever still reads");
        let text = answer.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(text.len(), 50);
    }
}
