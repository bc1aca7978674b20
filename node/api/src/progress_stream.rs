//! Docker's stream of progress: lines of JSON during long work, with an error as the last line. A
//! failure before the first line is an ordinary failure with its own status.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use runtime::image::registry::RegistryError;
use runtime::image::{ImageError, PullError};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::failure::Failure;

/// Lines that wait for a slow client; above, the work waits.
const LINES_MAX: usize = 64;

/// The writer of lines.
#[derive(Clone)]
pub struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    /// Writes a line; false when the client is gone.
    pub async fn put(&self, line: Value) -> bool {
        self.0.send(Bytes::from(format!("{line}\r\n"))).await.is_ok()
    }

    /// Writes `status`, for a part if `id` is not empty.
    pub async fn status(&self, id: &str, status: &str) -> bool {
        self.put(if id.is_empty() {
            json!({"status": status})
        } else {
            json!({"status": status, "progressDetail": {}, "id": id})
        })
        .await
    }

    /// Writes the progress of a part.
    pub async fn progress(&self, id: &str, status: &str, current: u64, total: u64) -> bool {
        self.put(json!({
            "status": status,
            "progressDetail": {"current": current, "total": total},
            "progress": bar(current, total),
            "id": id,
        }))
        .await
    }

    /// Writes the reason of a failure, which is the last line.
    pub async fn failed(&self, message: &str) {
        self.put(json!({"errorDetail": {"message": message}, "error": message})).await;
    }

    /// Returns when the client is gone.
    pub async fn abandoned(&self) {
        self.0.closed().await;
    }
}

/// A response, and the writer of its lines.
pub fn lines() -> (Lines, Response) {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    let pieces = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
        let line = receiver.recv().await?;
        Some((Ok::<_, Infallible>(line), receiver))
    });
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (Lines(sender), (kind, Body::from_stream(pieces)).into_response())
}

/// `[=====>     ]  1.2MB/4.5MB`, as Docker draws it.
fn bar(current: u64, total: u64) -> String {
    let share = (50 * current.min(total)).checked_div(total).unwrap_or(0);
    let share = usize::try_from(share).expect("at most 50");
    let head = if share < 50 { ">" } else { "" };
    let rest = 50 - share - head.len();
    let (done, left) = ("=".repeat(share), " ".repeat(rest));
    format!("[{done}{head}{left}] {:>8}/{}", size(current), size(total))
}

/// `1.2MB`, in thousands, in Docker's form.
fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut scaled, mut unit) = (bytes * 10, 0);
    while scaled >= 10_000 && unit + 1 < units.len() {
        scaled /= 1_000;
        unit += 1;
    }
    let (whole, tenth) = (scaled / 10, scaled % 10);
    if tenth == 0 || unit == 0 {
        format!("{whole}{}", units[unit])
    } else {
        format!("{whole}.{tenth}{}", units[unit])
    }
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Failure {
        let message = error.to_string();
        match error {
            PullError::Malformed(_) | PullError::Login(_) => Failure::Bad(message),
            PullError::Registry(RegistryError::Unknown { .. }) | PullError::Nobody { .. } => {
                Failure::Missing(message)
            }
            PullError::Store(error) => match *error {
                ImageError::Unknown(_) => Failure::Missing(message),
                ImageError::Disk { .. } | ImageError::DiskFull { .. } => {
                    Failure::Unavailable(message)
                }
                _ => Failure::Bad(message),
            },
            _ => Failure::Unavailable(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_docker_does() {
        let shown = [0, 999, 1_000, 1_500, 12_345_678, 2_000_000_000].map(size);
        assert_eq!(shown, ["0B", "999B", "1kB", "1.5kB", "12.3MB", "2GB"]);
    }

    #[test]
    fn a_bar_is_as_long_at_its_end_as_at_its_beginning() {
        let lengths = [0, 1, 50, 99, 100, 500].map(|done| bar(done, 100).find(']'));
        assert!(lengths.iter().all(|length| *length == Some(51)), "{lengths:?}");
        assert_eq!(bar(5, 0).find(']'), Some(51));
    }
}
