//! Deadlines for requests: one that the client never finishes is given up.
//!
//! A short body must arrive completely in time. A long or endless one (an image, files into a task)
//! may take any time, as long as it makes progress.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// A body that announces at most this size must arrive completely in time.
const SHORT_BYTES_MAX: u64 = 1024 * 1024;

/// How long a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For the head of a request; an idle connection is closed after this time, too.
    pub head: Duration,
    /// For a short body.
    pub body: Duration,
    /// From one piece of a long body to the next.
    pub pause: Duration,
}

impl Deadlines {
    /// A local socket transfers a request in milliseconds. Data that is piped in from elsewhere
    /// (`docker load` over ssh) may arrive with pauses.
    pub const USUAL: Deadlines = Deadlines {
        head: Duration::from_secs(60),
        body: Duration::from_secs(30),
        pause: Duration::from_secs(120),
    };
}

/// Why a body was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rest of the request's body did not come within {0:?}; nothing was done, send it again"
)]
pub struct TooSlow(Duration);

/// A body with a deadline.
pub struct Timed<B> {
    body: B,
    timeout: Duration,
    is_short: bool,
    timer: Pin<Box<Sleep>>,
}

impl<B: HttpBody> Timed<B> {
    /// The clock of a short body starts now, that of a long one at each read.
    pub fn new(body: B, deadlines: Deadlines) -> Timed<B> {
        let is_short = body.size_hint().upper().is_some_and(|bytes| bytes <= SHORT_BYTES_MAX);
        let timeout = if is_short { deadlines.body } else { deadlines.pause };
        Timed { body, timeout, is_short, timer: Box::pin(sleep(timeout)) }
    }
}

impl<B> HttpBody for Timed<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                if !this.is_short {
                    this.timer.as_mut().reset(Instant::now() + this.timeout);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let due = this.timer.as_mut().poll(context);
                due.map(|()| Some(Err(TooSlow(this.timeout).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use futures_util::stream;

    use super::*;

    const QUICK: Deadlines = Deadlines {
        head: Duration::from_millis(50),
        body: Duration::from_millis(50),
        pause: Duration::from_millis(200),
    };

    /// A body of pieces, one after each interval in milliseconds.
    fn slow(pieces: usize, every_ms: u64) -> Body {
        Body::from_stream(stream::unfold(0, move |at| async move {
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
            (at < pieces).then(|| (Ok::<_, Infallible>("piece"), at + 1))
        }))
    }

    #[tokio::test]
    async fn a_long_body_may_take_its_time_and_must_not_stop() {
        let comes = Body::new(Timed::new(slow(8, 50), QUICK));
        assert!(axum::body::to_bytes(comes, usize::MAX).await.is_ok(), "it goes on");
        let stops = Body::new(Timed::new(slow(8, 60_000), QUICK));
        let error = axum::body::to_bytes(stops, usize::MAX).await.expect_err("it stops");
        assert!(format!("{error}").contains("did not come"), "{error}");
    }
}
