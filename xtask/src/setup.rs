//! `cargo xtask setup`: what the tests, the demo and the bench need from the system.
//!
//! Debian's packages only, by apt-get, as root; otherwise it prints what to type. It must stay
//! quick and silent about the network when everything is there.

use crate::repo::{self, Account};
use crate::step::succeed;
use anyhow::{Result, bail};
use std::process::Command;

/// A program that something here starts, and Debian's package that brings it.
struct Tool {
    program: &'static str,
    package: &'static str,
    why: &'static str,
    need: Need,
}

/// Who misses a program that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing works without it.
    Always,
    /// Only what root can do needs it: network namespaces and packet filters.
    Root,
}

const TOOLS: [Tool; 5] = [
    Tool {
        program: "cc",
        package: "build-essential",
        why: "links every program and compiles ring",
        need: Need::Always,
    },
    Tool {
        program: "busybox",
        package: "busybox-static",
        why: "its httpd is the program that tests and the demo run",
        need: Need::Always,
    },
    Tool {
        program: "curl",
        package: "curl",
        why: "asks the programs of the demo, and the API in the README's examples",
        need: Need::Always,
    },
    Tool {
        program: "ip",
        package: "iproute2",
        why: "makes the lab's network namespaces",
        need: Need::Root,
    },
    Tool {
        program: "nft",
        package: "nftables",
        why: "drops the lab's packets in silence",
        need: Need::Root,
    },
];

/// Installs what is missing; says what is there.
pub fn run() -> Result<()> {
    toolchain()?;
    let account = repo::account();
    let missing = missing(account);
    if missing.is_empty() {
        eprintln!("setup: everything is there");
    } else {
        for tool in &missing {
            eprintln!("setup: {} is missing: it {}", tool.program, tool.why);
        }
        install(&missing, account)?;
    }
    if repo::program("cargo-nextest").is_none() {
        eprintln!("setup: no cargo-nextest; `cargo test` runs the tests, one file after another");
    }
    Ok(())
}

fn missing(account: Account) -> Vec<&'static Tool> {
    TOOLS
        .iter()
        .filter(|tool| account == Account::Root || tool.need == Need::Always)
        .filter(|tool| repo::program(tool.program).is_none())
        .collect()
}

fn toolchain() -> Result<()> {
    for component in ["fmt", "clippy"] {
        let there = repo::cargo().args([component, "--version"]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            bail!("cargo {component} is missing; type: rustup component add rustfmt clippy");
        }
    }
    Ok(())
}

fn install(missing: &[&Tool], account: Account) -> Result<()> {
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    let line = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    if account == Account::Person {
        bail!("only root can install packages; type: sudo {line}");
    }
    if repo::program("apt-get").is_none() {
        bail!("no apt-get here; install by this system's own means: {}", packages.join(", "));
    }
    // A bare image has no package lists, or old ones: one update, then the packages.
    succeed(apt_get().args(["--quiet", "update"]))?;
    succeed(
        apt_get().args(["--quiet", "install", "--yes", "--no-install-recommends"]).args(&packages),
    )?;
    match missing.iter().find(|tool| repo::program(tool.program).is_none()) {
        Some(tool) => bail!("{} was installed but {} is not there", tool.package, tool.program),
        None => Ok(()),
    }
}

/// apt-get's talk goes to stderr's place: stdout belongs to results.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_root_only_what_nothing_works_without_is_asked_for() {
        assert!(missing(Account::Person).iter().all(|tool| tool.need == Need::Always));
    }

    #[test]
    fn a_person_without_root_is_told_what_to_type() {
        let error = install(&[&TOOLS[1]], Account::Person).unwrap_err().to_string();
        assert!(error.contains("sudo apt-get install"), "{error}");
        assert!(error.contains("busybox-static"), "{error}");
    }
}
