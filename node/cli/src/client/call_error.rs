//! Why a call of the API did not give an answer, and how that is told.

use std::path::PathBuf;

use node_docker::dry_run::DryRun;

use super::ANSWER_WAIT_MAX;
use crate::dry_run::{self, Form};
use crate::failure::Failure;

/// Why a call did not give an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no such file.
    #[error("there is no agent at {0}")]
    NoSocket(PathBuf),
    /// The file exists, but nothing listens on it.
    #[error("the agent of {0} is gone")]
    NobodyListens(PathBuf),
    /// No permission for the file.
    #[error("no permission to use {0}")]
    NotAllowed(PathBuf),
    /// The file is something else.
    #[error("{0} is not the socket of an agent")]
    NotASocket(PathBuf),
    /// Another error of the socket.
    #[error("cannot reach the agent at {0}")]
    Unusable(PathBuf, String),
    /// A node on another machine, and what went wrong on the way to it.
    #[error("cannot reach the node at tcp://{0}")]
    NoNode(String, String),
    /// The connection broke before the answer was complete.
    #[error("the agent went away in the middle of its answer")]
    HalfAnswer,
    /// No answer in time.
    #[error("the agent took the request and does not answer")]
    Silent,
    /// The answer is not from the API.
    #[error("what answers at {0} does not speak edgectl's API")]
    NotTheApi(PathBuf, String),
    /// The change was only tried.
    #[error("nothing was changed")]
    DryRun(Box<DryRun>, Form),
    /// The agent refused the request.
    #[error("{message}")]
    Refused {
        /// HTTP's number.
        status: u16,
        /// The agent's words.
        message: String,
    },
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        let failure = Failure::new(error.to_string());
        match error {
            CallError::NoSocket(socket) => failure
                .why("the socket does not exist: the agent does not seem to run, or uses another one")
                .hint("edgectl agent --config /etc/edgectl/edge.toml")
                .hint(format!("--socket PATH or EDGECTL_SOCKET, if it is not {}", socket.display())),
            CallError::NobodyListens(_) => failure
                .why("its socket is left over, nobody listens on it; its tasks run on without it")
                .hint("edgectl agent --config /etc/edgectl/edge.toml"),
            CallError::NotAllowed(socket) => failure
                .why("the socket belongs to another user")
                .hint(format!("sudo edgectl --socket {} …", socket.display())),
            CallError::NotASocket(_) => failure
                .why("the file is no socket at all")
                .hint("--socket PATH or EDGECTL_SOCKET, with the path of the agent's socket"),
            CallError::Unusable(_, detail) => failure.why(detail).hint("edgectl doctor"),
            CallError::NoNode(_, detail) => failure
                .why(detail)
                .hint("edgectl ca client --output DIR NAME, on a node with `api` in edge.toml"),
            CallError::HalfAnswer => failure
                .why("it was stopped or restarted; what was acknowledged is stored")
                .hint("the same command again"),
            CallError::Silent => failure
                .why(format!("{} s have passed; its disk may be stuck", ANSWER_WAIT_MAX.as_secs()))
                .hint("edgectl doctor"),
            CallError::NotTheApi(_, detail) => failure
                .why(detail)
                .hint("edgectl version, to compare this command with the agent"),
            CallError::DryRun(run, form) => dry_run::end(&run, form),
            CallError::Refused { message, .. } => refused(&message),
        }
    }
}

/// The agent writes a refusal as `what; what to type`, or in lines.
fn refused(message: &str) -> Failure {
    let message = message.trim();
    if let (Some((what, hint)), false) = (message.split_once("; "), message.contains('\n')) {
        return Failure::new(what).hint(hint);
    }
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut failure = Failure::new(lines.next().unwrap_or("the agent refused, without a reason"));
    for line in lines {
        failure = match line.strip_prefix("try:") {
            Some(hint) => failure.hint(hint.trim()),
            None => failure.why(line.strip_prefix("why:").unwrap_or(line).trim()),
        };
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_in_lines_is_shown_in_its_parts() {
        let shown = refused("what\nwhy: that\ntry: this").to_string();
        assert_eq!(shown, "what\n  why: that\n  try: this");
    }
}
