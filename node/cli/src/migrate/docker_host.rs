//! Which Docker is asked: `--docker-host`, `DOCKER_HOST`, or the usual socket.

use std::path::PathBuf;

use crate::client::CallError;
use crate::failure::Failure;

/// Docker's own.
const SOCKET: &str = "/var/run/docker.sock";

/// The socket of a host in Docker's spelling.
pub fn socket(host: Option<&str>) -> Result<PathBuf, Failure> {
    let host = host.unwrap_or(SOCKET);
    let path = host.strip_prefix("unix://").unwrap_or(host);
    if !path.contains("://") && path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    Err(Failure::new(format!("{host} is no unix socket"))
        .why("Docker is asked over its own socket only: TCP without TLS would show all to the network")
        .hint("this command on a manager of the swarm")
        .hint("ssh -N -L /tmp/docker.sock:/var/run/docker.sock MANAGER, and --docker-host unix:///tmp/docker.sock"))
}

/// Why Docker did not answer.
pub fn failure(error: CallError) -> Failure {
    let failed = |what: String| Failure::new(what);
    match error {
        CallError::NoSocket(socket) => {
            failed(format!("there is no Docker at {}", socket.display()))
                .why("the socket does not exist")
                .hint("--docker-host unix:///PATH, if it is elsewhere")
        }
        CallError::NobodyListens(socket) => {
            failed(format!("no Docker listens at {}", socket.display()))
                .why("the socket is left over")
                .hint("systemctl start docker")
        }
        CallError::NotAllowed(socket) => {
            failed(format!("no permission to use {}", socket.display()))
                .why("the socket belongs to root and the group docker")
                .hint("sudo edgectl migrate from-swarm …")
        }
        CallError::NotASocket(path) => failed(format!("{} is no socket", path.display()))
            .hint("--docker-host unix:///PATH, with the path of Docker's socket"),
        CallError::Unusable(socket, detail) => {
            failed(format!("cannot reach Docker at {}", socket.display())).why(detail)
        }
        CallError::HalfAnswer => failed("Docker went away in the middle of its answer".to_owned())
            .hint("the same command again"),
        CallError::Silent => failed("Docker took the request and does not answer".to_owned())
            .hint("the same command on another manager"),
        CallError::NotTheApi(socket, detail) => {
            failed(format!("what answers at {} is not Docker", socket.display()))
                .why(detail)
                .hint("--docker-host unix:///PATH, with the path of Docker's socket")
        }
        CallError::Refused { message, .. } => {
            failed(format!("Docker refuses: {}", message.trim().trim_end_matches('.')))
        }
        other => Failure::from(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_for_docker() {
        assert_eq!(socket(None), Ok(PathBuf::from("/var/run/docker.sock")));
        assert_eq!(socket(Some("unix:///run/x.sock")), Ok(PathBuf::from("/run/x.sock")));
        for other in ["tcp://10.0.0.1:2375", "ssh://pi-1", "npipe:////./pipe/x", "pi-1"] {
            let shown = socket(Some(other)).expect_err(other).to_string();
            assert!(shown.starts_with(&format!("{other} is no unix socket")), "{shown}");
        }
    }
}
