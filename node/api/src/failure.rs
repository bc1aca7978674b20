//! The answer to a request that was not carried out: a status and `{"message": …}`.
//!
//! The message contains what, why and what to type. A request that failed has changed nothing.

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use runtime::exec::{ExecRefusal, Fault};
use runtime::image::ImageError;

use node_core::edit::client::BadClient;
use node_core::edit::file::BadFile;
use node_core::edit::network::BadNetwork;
use node_core::edit::token::BadToken;

use node_agent::{SessionGone, Unanswered};
use node_docker::ErrorBody;
use node_docker::dry_run::DryRun;
use node_docker::state::BadSpec;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
    /// The login is not taken.
    #[error("{0}")]
    Unauthorized(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It contradicts the current state.
    #[error("{0}")]
    Conflict(String),
    /// It is not allowed there.
    #[error("{0}")]
    Forbidden(String),
    /// A feature of Docker that this version does not have.
    #[error("{0}")]
    NotYet(String),
    /// The node cannot do it now.
    #[error("{0}")]
    Unavailable(String),
    /// It was only to be tried: this is what it would do.
    #[error("nothing was changed: this was a dry run")]
    DryRun(Box<DryRun>),
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Failure::Bad(_) => StatusCode::BAD_REQUEST,
            Failure::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Failure::Missing(_) => StatusCode::NOT_FOUND,
            Failure::Conflict(_) => StatusCode::CONFLICT,
            Failure::Forbidden(_) => StatusCode::FORBIDDEN,
            Failure::NotYet(_) => StatusCode::NOT_IMPLEMENTED,
            Failure::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Failure::DryRun(_) => StatusCode::OK,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Failure::DryRun(run) = self {
            return Json(run).into_response();
        }
        let body = ErrorBody { message: self.to_string() };
        (self.status(), Json(body)).into_response()
    }
}

impl From<node_core::Refusal> for Failure {
    fn from(refusal: node_core::Refusal) -> Failure {
        use node_core::Refusal;
        let message = refusal.to_string();
        match refusal {
            Refusal::NoSuchService(_)
            | Refusal::NoSuchNode(_)
            | Refusal::NoSuchImage(_)
            | Refusal::NoSuchVolume { .. }
            | Refusal::NoSuchConflict => Failure::Missing(message),
            Refusal::NameTaken { .. }
            | Refusal::PortTaken { .. }
            | Refusal::NoPortLeft { .. }
            | Refusal::OutOfSequence { .. }
            | Refusal::NodeReachable { .. }
            | Refusal::SameNode(_)
            | Refusal::NodeSilent(_)
            | Refusal::NothingToSteer(_)
            | Refusal::Unexpected { .. } => Failure::Conflict(message),
            Refusal::Network(bad) => of_network(&bad, message),
            Refusal::Token(BadToken::NoSuch(_)) => Failure::Missing(message),
            Refusal::Client(BadClient::Missing(_)) => Failure::Missing(message),
            Refusal::Client(BadClient::NameTaken(_)) => Failure::Conflict(message),
            Refusal::File(BadFile::Missing { .. }) => Failure::Missing(message),
            Refusal::File(BadFile::NameTaken { .. }) => Failure::Conflict(message),
            Refusal::HasLeft => Failure::Unavailable(message),
            // A config or secret that is in use is a bad request in Docker.
            Refusal::BadName(_)
            | Refusal::Client(_)
            | Refusal::Token(_)
            | Refusal::File(_)
            | Refusal::Job(_)
            | Refusal::Partition(_)
            | Refusal::Schedule(_)
            | Refusal::Autoscale(_)
            | Refusal::BadHistoryLimit(_)
            | Refusal::BadConstraint(_)
            | Refusal::BadPreference(_)
            | Refusal::BadAffinity(_)
            | Refusal::BadRelation(_)
            | Refusal::BadPlaceholder(_)
            | Refusal::NothingToRun
            | Refusal::NoDryRun
            | Refusal::NothingToRollBack { .. }
            | Refusal::TooManyReplicas(_)
            | Refusal::BeyondLimit(_)
            | Refusal::TooLarge { .. } => Failure::Bad(message),
        }
    }
}

/// As in Docker: what the state forbids is a conflict, what nobody may do is forbidden.
fn of_network(bad: &BadNetwork, message: String) -> Failure {
    match bad {
        BadNetwork::Missing(_) => Failure::Missing(message),
        BadNetwork::Predefined(_) => Failure::Forbidden(message),
        BadNetwork::NameTaken(_)
        | BadNetwork::Overlap { .. }
        | BadNetwork::SiteRoute { .. }
        | BadNetwork::VniTaken { .. }
        | BadNetwork::PoolExhausted { .. }
        | BadNetwork::HasTasks { .. }
        | BadNetwork::AliasTaken { .. }
        | BadNetwork::NameIsAlias { .. }
        | BadNetwork::InUse { .. } => Failure::Conflict(message),
        _ => Failure::Bad(message),
    }
}

impl From<BadNetwork> for Failure {
    fn from(bad: BadNetwork) -> Failure {
        of_network(&bad, bad.to_string())
    }
}

impl From<BadSpec> for Failure {
    fn from(bad: BadSpec) -> Failure {
        match bad {
            BadSpec::NotYet(_) => Failure::NotYet(bad.to_string()),
            BadSpec::NoSuchNetwork(_) => Failure::Missing(bad.to_string()),
            _ => Failure::Bad(bad.to_string()),
        }
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Failure {
        let message = error.to_string();
        match error {
            ImageError::Unknown(_) => Failure::Missing(message),
            ImageError::InUse { .. } | ImageError::ManyNames(_) | ImageError::Busy(_) => {
                Failure::Conflict(message)
            }
            ImageError::DiskFull { .. } | ImageError::Disk { .. } => Failure::Unavailable(message),
            _ => Failure::Bad(message),
        }
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Failure {
        Failure::Unavailable(unanswered.to_string())
    }
}

impl From<SessionGone> for Failure {
    fn from(gone: SessionGone) -> Failure {
        match gone {
            SessionGone::TooLong(_) => Failure::Bad(gone.to_string()),
            _ => Failure::Unavailable(gone.to_string()),
        }
    }
}

impl From<ExecRefusal> for Failure {
    fn from(refusal: ExecRefusal) -> Failure {
        let message = refusal.message;
        match refusal.fault {
            Fault::NotRunning => Failure::Conflict(message),
            Fault::Missing => Failure::Missing(message),
            Fault::Bad => Failure::Bad(message),
            Fault::Forbidden => Failure::Forbidden(message),
            Fault::Failed => Failure::Unavailable(message),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::Bad(format!("the body of the request cannot be read: {error}"))
    }
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Failure {
        Failure::Bad(rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Failure {
        Failure::Bad(rejection.body_text())
    }
}
