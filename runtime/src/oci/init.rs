//! A first process for the containers of a runtime that has none of its own: a program of the
//! node, which is mounted into the container.

use std::fs;
use std::path::{Path, PathBuf};

use super::OciRuntime;
use crate::refusal::StartError;

/// Where distributions install them: Docker's, tini, Podman's.
const PROGRAMS: [&str; 8] = [
    "/usr/libexec/docker/docker-init",
    "/usr/bin/docker-init",
    "/usr/local/bin/docker-init",
    "/usr/bin/tini-static",
    "/usr/bin/tini",
    "/sbin/tini",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/catatonit",
];

/// An init program that needs nothing of the image into which it is mounted.
pub fn program(runtime: &OciRuntime) -> Result<PathBuf, StartError> {
    let found = PROGRAMS.into_iter().map(Path::new).find(|path| is_static(path));
    found.map(Path::to_owned).ok_or_else(|| StartError::NoInit { runtime: runtime.to_string() })
}

/// Is it an ELF file without an interpreter, which an image may lack?
fn is_static(path: &Path) -> bool {
    const ELF: &[u8] = b"\x7fELF";
    let Ok(bytes) = fs::read(path) else { return false };
    let names_loader =
        bytes.windows(7).take(4096).any(|window| window == b"/ld-lin" || window == b"/ld-mus");
    bytes.starts_with(ELF) && !names_loader
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_loader_is_not_taken() {
        assert!(!is_static(Path::new("/bin/ls")));
        assert!(!is_static(Path::new("/etc/passwd")));
        assert!(!is_static(Path::new("/no/such/file")));
        let busybox = Path::new("/bin/busybox");
        assert!(!busybox.exists() || is_static(busybox), "Debian's busybox-static");
    }
}
