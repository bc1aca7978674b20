//! Which identity's tables are in the host's namespace.
//!
//! The host's tables are named by the node that has them. An agent whose data directory is new is
//! another node, and the tables of the one before it would stay with their published ports until the
//! machine restarts. A file beside the namespaces names that one: only one agent at a time has this
//! directory, so it is dead. Tables that no such file names are left alone: another agent of this
//! machine may have them.

use std::fs;
use std::path::{Path, PathBuf};

use overlay_linux::balancing::{BalancingError, PortBalancer, TunnelGuard};
use overlay_linux::links::Links;

const FILE: &str = "identity";

/// The file of this node.
pub(super) struct IdentityFile(PathBuf);

impl IdentityFile {
    /// Removes the tables of the identity that had this directory before, and names this one.
    pub(super) fn take_over(directory: &Path, tag: &str, links: &Links) -> IdentityFile {
        let file = directory.join(FILE);
        let former = fs::read_to_string(&file).unwrap_or_default();
        if former == tag {
            return IdentityFile(file);
        }
        let removed = if is_tag(&former) { remove_tables(&former, links) } else { Ok(()) };
        match removed {
            // The next agent tries it again.
            Err(error) => tracing::warn!("networks: tables of the former node {former}: {error}"),
            Ok(()) => {
                if let Err(error) = fs::write(&file, tag) {
                    tracing::warn!("networks: cannot write {}: {error}", file.display());
                }
            }
        }
        IdentityFile(file)
    }

    /// Nothing of this node is left in the host's namespace.
    pub(super) fn remove(&self) {
        // Where it cannot be removed, the directory stays as well, which is told.
        let _ = fs::remove_file(&self.0);
    }
}

fn remove_tables(tag: &str, links: &Links) -> Result<(), BalancingError> {
    let host = links.host_namespace();
    PortBalancer::remove_table(host, tag)?;
    TunnelGuard::remove(host, tag)
}

/// The first half of a number of a node; a file that was not written to its end has less.
fn is_tag(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
