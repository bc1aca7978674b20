//! Rules about packages: which package may import which, and which may switch the purity lints off.
//!
//! The table here is that of ARCHITECTURE.md; a package that is not in it is a finding. Imports
//! from the registry are restricted only for packages that must be pure.

use super::Finding;
use crate::repo::{self, Metadata, Package};
use anyhow::{Context, Result};

/// What a package may import from the workspace, and whether it is pure.
struct Entry {
    name: &'static str,
    imports: &'static [&'static str],
    lints: Lints,
}

/// Which lints a package uses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lints {
    /// The workspace's lints: the purity lints are on.
    Workspace,
    /// Lints of its own: the package has contact with the system, so it may switch the purity lints
    /// off.
    Own,
}

const TABLE: [Entry; 21] = [
    Entry { name: "crdt-state", imports: &[], lints: Lints::Workspace },
    Entry { name: "gossip", imports: &["crdt-state"], lints: Lints::Workspace },
    Entry { name: "overlay", imports: &["crdt-state"], lints: Lints::Workspace },
    Entry { name: "overlay-linux", imports: &["crdt-state", "overlay"], lints: Lints::Own },
    Entry { name: "overlay-dns", imports: &[], lints: Lints::Own },
    Entry { name: "overlay-tunnel", imports: &[], lints: Lints::Own },
    Entry {
        name: "node-core",
        imports: &["crdt-state", "gossip", "overlay"],
        lints: Lints::Workspace,
    },
    Entry { name: "runtime", imports: &["crdt-state", "runtime-fake"], lints: Lints::Own },
    Entry { name: "runtime-fake", imports: &["crdt-state"], lints: Lints::Workspace },
    // Docker's types; of `runtime` only values: references of images, samples, names of files.
    Entry {
        name: "node-docker",
        imports: &["crdt-state", "node-core", "runtime"],
        lints: Lints::Own,
    },
    Entry {
        name: "node-agent",
        imports: &[
            "crdt-state",
            "gossip",
            "node-core",
            "overlay",
            "overlay-dns",
            "overlay-linux",
            "overlay-tunnel",
            "runtime",
            "node-docker",
            // A test replays the history that an agent wrote:
            "chaos",
        ],
        lints: Lints::Own,
    },
    Entry {
        name: "node-api",
        imports: &["crdt-state", "gossip", "node-core", "runtime", "node-docker", "node-agent"],
        lints: Lints::Own,
    },
    // Values of flags and of Compose files; `node-core` is for constraints, `runtime` for signals.
    Entry {
        name: "node-values",
        imports: &["node-core", "runtime", "node-docker"],
        lints: Lints::Workspace,
    },
    // Compose files as Docker's types.
    Entry { name: "node-stack", imports: &["node-docker", "node-values"], lints: Lints::Workspace },
    // A client: it knows only what the API tells it.
    Entry {
        name: "node-cli",
        imports: &["node-core", "runtime", "node-docker", "node-stack", "node-values"],
        lints: Lints::Own,
    },
    Entry {
        name: "node-lab",
        imports: &["overlay-linux", "runtime", "node-docker"],
        lints: Lints::Own,
    },
    // The program; packages that only its tests import are listed after the line.
    Entry {
        name: "node",
        imports: &[
            "node-agent",
            "node-api",
            "node-cli",
            "node-lab",
            "overlay-dns",
            "overlay-tunnel",
            "runtime",
            // tests:
            "crdt-state",
            "gossip",
            "node-core",
        ],
        lints: Lints::Own,
    },
    // The simulator starts no real task: its programs are those of `runtime-fake`, on virtual time.
    Entry {
        name: "chaos",
        imports: &["crdt-state", "gossip", "node-core", "overlay", "runtime-fake"],
        lints: Lints::Workspace,
    },
    // What takes bytes of others, wherever it is.
    Entry {
        name: "fuzz-targets",
        imports: &[
            "crdt-state",
            "gossip",
            "node-agent",
            "node-core",
            "node-docker",
            "node-stack",
            "runtime",
        ],
        lints: Lints::Own,
    },
    Entry { name: "examples", imports: &[], lints: Lints::Own },
    Entry { name: "xtask", imports: &[], lints: Lints::Own },
];

/// Packages of the registry that bring a clock, a socket, a file or randomness into a pure crate.
const WORLDLY: [&str; 12] = [
    "tokio",
    "mio",
    "socket2",
    "quinn",
    "rustls",
    "axum",
    "hyper",
    "redb",
    "nix",
    "libc",
    "getrandom",
    "chrono",
];

const PURE: [&str; 5] = ["crdt-state", "gossip", "overlay", "node-core", "runtime-fake"];

/// Imports that are not allowed.
pub fn imports(metadata: &Metadata) -> Vec<Finding> {
    let members: Vec<&str> =
        metadata.packages.iter().map(|package| package.name.as_str()).collect();
    metadata.packages.iter().flat_map(|package| imports_of(package, &members)).collect()
}

fn imports_of(package: &Package, members: &[&str]) -> Vec<Finding> {
    let finding = |what: String, why| Finding {
        file: manifest(package),
        line: 1,
        rule: "imports",
        what,
        why,
    };
    let Some(entry) = TABLE.iter().find(|entry| entry.name == package.name) else {
        let what = format!("package `{}` is not in the table of imports", package.name);
        return vec![finding(what, "every package has its place; add it to ARCHITECTURE.md too")];
    };
    let mut findings = Vec::new();
    for dependency in package.dependencies.iter().map(|dependency| dependency.name.as_str()) {
        if members.contains(&dependency) && !entry.imports.contains(&dependency) {
            let what = format!("`{}` imports `{dependency}`", package.name);
            findings.push(finding(what, "imports point down the house, see ARCHITECTURE.md"));
        }
        if PURE.contains(&entry.name) && WORLDLY.contains(&dependency) {
            let what = format!("pure `{}` imports `{dependency}`", package.name);
            findings.push(finding(what, "a pure crate cannot reach clock, socket, disk or chance"));
        }
    }
    findings
}

/// Packages that have switched the purity lints off without permission.
pub fn lints(metadata: &Metadata) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let text = std::fs::read_to_string(&package.manifest_path)
            .with_context(|| package.manifest_path.display().to_string())?;
        findings.extend(lints_of(package, &text));
    }
    Ok(findings)
}

fn lints_of(package: &Package, text: &str) -> Option<Finding> {
    let own = TABLE.iter().any(|entry| entry.name == package.name && entry.lints == Lints::Own);
    let workspace = text.contains("[lints]\nworkspace = true");
    (!own && !workspace).then(|| Finding {
        file: manifest(package),
        line: 1,
        rule: "lints",
        what: format!("`{}` does not take the workspace's lints", package.name),
        why: "they keep clocks, sockets and hash-ordered maps out of the pure crates",
    })
}

/// The manifest's path from the root.
fn manifest(package: &Package) -> String {
    let path = &package.manifest_path;
    path.strip_prefix(repo::root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Dependency;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency { name: (*name).to_owned() };
        Package {
            name: name.to_owned(),
            manifest_path: format!("{name}/Cargo.toml").into(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn found(packages: Vec<Package>) -> Vec<String> {
        let metadata = Metadata { packages, target_directory: "target".into() };
        imports(&metadata).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn imports_that_point_down_are_fine() {
        let packages = vec![package("crdt-state", &["serde"]), package("gossip", &["crdt-state"])];
        assert!(found(packages).is_empty());
    }

    #[test]
    fn an_import_that_points_up_is_found() {
        let packages = vec![package("crdt-state", &["gossip"]), package("gossip", &[])];
        assert_eq!(found(packages), ["`crdt-state` imports `gossip`"]);
    }

    #[test]
    fn a_pure_crate_with_a_socket_is_found() {
        let packages = vec![package("gossip", &["tokio"])];
        assert_eq!(found(packages), ["pure `gossip` imports `tokio`"]);
    }

    #[test]
    fn a_package_without_a_place_is_found() {
        assert_eq!(found(vec![package("attic", &[])]).len(), 1);
    }

    #[test]
    fn a_pure_crate_with_lints_of_its_own_is_found() {
        let own = "[lints.clippy]\ndisallowed_types = \"allow\"\n";
        assert!(lints_of(&package("gossip", &[]), own).is_some());
        assert!(lints_of(&package("node", &[]), own).is_none());
        assert!(lints_of(&package("gossip", &[]), "[lints]\nworkspace = true\n").is_none());
    }
}
