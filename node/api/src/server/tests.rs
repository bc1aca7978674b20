//! Clients that are slow, silent, or too many.

use std::path::PathBuf;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};

use super::*;

const QUICK: Deadlines = Deadlines {
    head: Duration::from_millis(200),
    body: Duration::from_millis(200),
    pause: Duration::from_millis(200),
};

/// No test takes this long.
const LONG: Duration = Duration::from_secs(10);

struct Served {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Served {
    fn begin(bounds: Bounds, deadlines: Deadlines) -> Served {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let read = |body: Result<Bytes, axum::extract::rejection::BytesRejection>| async {
            body.map(|_| "read").map_err(super::super::Failure::from)
        };
        let router = Router::new().route("/_ping", get(|| async { "OK" })).route("/", post(read));
        let (_, nobody) = mpsc::channel(1);
        tokio::spawn(async move {
            serve(&listener, nobody, router, Allowance { bounds, deadlines }).await
        });
        Served { _dir: dir, path }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.expect("it listens")
    }
}

const MANY: Bounds = Bounds { total: 64, user: 64, process: 64 };

/// Everything until the other side closes.
async fn rest(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await;
    read.expect("it is hung up on").expect("read");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn who_never_finishes_a_request_is_hung_up_on() {
    let served = Served::begin(MANY, QUICK);
    for unfinished in ["", "GET /_ping HTTP/1.1\r\nHost: x\r\n", "GET /_p"] {
        let mut stream = served.connect().await;
        stream.write_all(unfinished.as_bytes()).await.expect("sent");
        let answer = rest(&mut stream).await;
        assert!(!answer.contains("200"), "{unfinished:?}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let served = Served::begin(MANY, QUICK);
    let mut stream = served.connect().await;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    assert!(rest(&mut stream).await.ends_with("OK"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_with_words() {
    let served = Served::begin(MANY, QUICK);
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut stream = served.connect().await;
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n5\r\nhello\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("did not come"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_with_too_many_connections_is_told_so_and_may_come_back() {
    let bounds = Bounds { total: 8, user: 8, process: 2 };
    let served = Served::begin(bounds, Deadlines { head: LONG, ..QUICK });
    let ask = async |stream: &mut UnixStream| {
        stream.write_all(b"GET /_ping HTTP/1.1\r\nConnection: close\r\n\r\n").await.expect("sent");
        rest(stream).await
    };
    let (mut first, silent) = (served.connect().await, served.connect().await);
    let refused = ask(&mut served.connect().await).await;
    assert!(refused.contains("503") && refused.contains("connections open"), "{refused}");
    assert!(ask(&mut first).await.ends_with("OK"), "who was there is served");
    drop(silent);
    let deadline = tokio::time::Instant::now() + LONG;
    while !ask(&mut served.connect().await).await.ends_with("OK") {
        assert!(tokio::time::Instant::now() < deadline, "places are given back");
    }
}
