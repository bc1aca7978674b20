//! Questions from one agent to another, on a stream of their own: the logs of a task that runs over
//! there. The answer comes in frames; an empty frame only says that more may come, and of a log
//! that all so far has come.
//!
//! ```text
//! asker    ── request (wire-encoded), end ─────────▶ answerer
//!          ◀── length (u32), frame · length, frame … ──
//! ```

use std::time::Duration;

use crdt_state::task::Run;
use runtime::image::auth::Login;
use runtime::run_request::RunRequest;
use serde::{Deserialize, Serialize};

/// One frame of an answer at most; a longer line of a log is cut before.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// No frame for so long: the peer is gone. Three signs of life.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What one agent can ask of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// The log of a run.
    Logs(LogRequest),
    /// Which of these blobs it has, one answer each.
    Have(Vec<String>),
    /// A blob, from an offset on.
    Blob(BlobRequest),
    /// What a name of an image stands for over there.
    Resolve(String),
    /// To keep a copy of an image of the fleet: its name and digest.
    Keep {
        /// Its full name.
        name: String,
        /// What it stands for.
        digest: String,
    },
    /// A request about one run; answered in one frame of JSON.
    Run {
        /// Which.
        run: Run,
        /// What is asked.
        request: RunRequest,
    },
}

impl PeerRequest {
    /// What is large and can wait comes after everything else on the same connection.
    pub(super) fn is_bulk(&self) -> bool {
        matches!(self, PeerRequest::Blob(_))
    }
}

/// Which part of which blob, and where else it could be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRequest {
    /// `sha256:…`.
    pub digest: String,
    /// Of the whole, if it is known.
    pub size: Option<u64>,
    /// Where to begin.
    pub offset: u64,
    /// How many nodes stand between it and whoever has it whole: the asker is one further.
    pub hops_max: u8,
    /// To be fetched from there if it is not here; `None`: only what is here.
    pub origin: Option<BlobOrigin>,
}

/// A repository, and as whom it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobOrigin {
    /// `docker.io`.
    pub registry: String,
    /// `library/nginx`.
    pub repository: String,
    /// Whether it is a manifest or an index rather than a blob.
    pub is_manifest: bool,
    /// Sent along by an operator; else the node's own is used.
    pub login: Option<Login>,
}

/// Which part of which log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// Whose.
    pub run: Run,
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// Only lines since this time of day of the node that wrote them, milliseconds since 1970.
    pub since_wall_ms: Option<u64>,
    /// Go on with what is written from now on.
    pub follow: bool,
}
