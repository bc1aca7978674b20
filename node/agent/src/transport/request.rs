//! Requests from one agent to another, each on a stream of its own, such as for the log of a task
//! that runs there. The answer comes in frames. An empty frame only means that more may come; in a
//! log it means that everything so far has been sent.
//!
//! ```text
//! asker    ── request (wire-encoded), end ─────────▶ answerer
//!          ◀── length (u32), frame · length, frame … ──
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use crdt_state::NetworkId;
use crdt_state::task::Run;
use runtime::image::auth::Login;
use runtime::run_request::RunRequest;
use serde::{Deserialize, Serialize};

/// One frame of an answer at most; a longer line of a log is split before.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// After this time without a frame the peer counts as gone: three keep-alive intervals.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A request of one agent to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// The log of a run.
    Logs(LogRequest),
    /// Which of these blobs it has, one answer each.
    Have(Vec<String>),
    /// A blob, from an offset on.
    Blob(BlobRequest),
    /// The digest that an image's name has there.
    Resolve(String),
    /// To keep a copy of an image of the fleet: its name and digest.
    Keep {
        /// Its full name.
        name: String,
        /// The digest of that name.
        digest: String,
    },
    /// A request about one run; answered in one frame of JSON.
    Run {
        /// The run.
        run: Run,
        /// The request.
        request: RunRequest,
    },
    /// What the name servers there answer about a name on a network, in one frame. Agents before
    /// networks had names end the stream without an answer.
    Names {
        /// The name, without that of a network.
        name: String,
        /// The network.
        network: NetworkId,
    },
    /// What its clock shows, in milliseconds since 1970, in one frame. Agents before schedules end the
    /// stream without an answer.
    Clock,
    /// What its audit log has since this time of day of its own, milliseconds since 1970: JSON lines, some
    /// in a frame. Agents before there was one end the stream without an answer.
    Audit {
        /// From when on.
        since_wall_ms: u64,
    },
    /// The node is heard at this address too, as another machine may have its key; no frame. Agents before
    /// there was a quarantine end the stream.
    Copied {
        /// The other address.
        other: SocketAddr,
    },
}

impl PeerRequest {
    /// Large data that can wait has a lower priority than everything else on the same connection.
    pub(super) fn is_bulk(&self) -> bool {
        matches!(self, PeerRequest::Blob(_))
    }
}

/// Which part of which blob, and from where else it may be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRequest {
    /// `sha256:…`.
    pub digest: String,
    /// Size of the whole blob, if it is known.
    pub size: Option<u64>,
    /// The first byte to send.
    pub offset: u64,
    /// How many nodes may stand between the answerer and the node that has the whole blob: for the
    /// asker it is one more.
    pub hops_max: u8,
    /// Where to fetch the blob if it is not here; `None`: it is not fetched.
    pub origin: Option<BlobOrigin>,
}

/// A repository, and the login for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobOrigin {
    /// `docker.io`.
    pub registry: String,
    /// `library/nginx`.
    pub repository: String,
    /// Whether it is a manifest or an index rather than a blob.
    pub is_manifest: bool,
    /// Sent along by an operator; without it the node's own is used.
    pub login: Option<Login>,
}

/// Which part of which log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// The run.
    pub run: Run,
    /// Only this many last lines.
    pub tail: Option<u64>,
    /// Only lines since this time of day of the node that wrote them, milliseconds since 1970.
    pub since_wall_ms: Option<u64>,
    /// Continue with everything that is written later.
    pub follow: bool,
}
