//! The unix socket of the API: makes it, and protects it from a second agent.
//!
//! Everybody who may write to it controls the fleet: so only its owner and group may.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Readable and writable for owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers on it.
    #[error(
        "another agent serves {}; stop it, or give this one its own socket: \
         edgectl agent --socket PATH",
        .0.display()
    )]
    Taken(PathBuf),
    /// Another kind of file has this name.
    #[error("{} is there and is no socket; move it away, or choose another path with --socket", .0.display())]
    NoSocket(PathBuf),
    /// The machine refuses.
    #[error("cannot serve {}: {error}; choose another path with --socket", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Binds the socket. A socket that no process serves any more is replaced.
pub async fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let refused = |error| SocketError::Refused { path: path.to_owned(), error };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(refused)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NoSocket(path.to_owned()));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(SocketError::Taken(path.to_owned()));
        }
        Ok(_) => std::fs::remove_file(path).map_err(refused)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(refused)?;
    let mode = std::fs::Permissions::from_mode(SOCKET_MODE);
    std::fs::set_permissions(path, mode).map_err(refused)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_serves_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run/edgectl.sock");
        drop(bind(&path).await.expect("the first"));
        assert!(path.exists(), "left behind, as after a crash");
        let _listener = bind(&path).await.expect("the second");
        let mode = std::fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
    }

    #[tokio::test]
    async fn a_socket_that_is_served_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("edgectl.sock");
        let _listener = bind(&path).await.expect("the first");
        let error = bind(&path).await.expect_err("taken").to_string();
        assert!(error.contains("another agent serves"), "{error}");
        UnixStream::connect(&path).await.expect("still served");
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("precious");
        std::fs::write(&path, "data").expect("a file");
        assert!(matches!(bind(&path).await, Err(SocketError::NoSocket(_))));
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "data");
    }
}
