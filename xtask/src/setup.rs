//! `cargo xtask setup`: installs the system packages of the tests, the demo and the bench.
//!
//! It uses only Debian's packages: as root it runs apt-get, otherwise it prints what to type. It
//! runs before anything but xtask is built, because the build needs a C compiler and a library. It
//! must stay quick and must not use the network when everything is installed.

use crate::repo::{self, Account};
use crate::step::succeed;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// Something that is needed from the system, and the Debian package that provides it.
struct Tool {
    /// How to tell that it is installed.
    mark: Mark,
    package: &'static str,
    why: &'static str,
    need: Need,
}

/// How to tell whether a package is installed.
#[derive(Clone, Copy)]
enum Mark {
    /// A program on `PATH`, or in one of the system's own folders.
    Program(&'static str),
    /// A file in `/usr/include`.
    Header(&'static str),
    /// A module of the system's own Python.
    Python(&'static str),
}

/// Who needs a package.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing works without it.
    Always,
    /// Needed only for features of root: namespaces, packet filters, containers.
    Root,
    /// Started only by tests and the bench, as root; never by the product.
    Tests,
}

use Mark::{Header, Program, Python};

impl Mark {
    fn is_there(self) -> bool {
        match self {
            Program(name) => repo::program(name).is_some(),
            Header(name) => Path::new("/usr/include").join(name).is_file(),
            Python(name) => Path::new("/usr/lib/python3/dist-packages").join(name).is_dir(),
        }
    }
}

impl Need {
    fn is_of(self, account: Account) -> bool {
        self == Need::Always || account == Account::Root
    }
}

const TOOLS: [Tool; 23] = [
    needed(Program("cc"), "build-essential", "links every program and compiles ring"),
    needed(
        Header("seccomp.h"),
        "libseccomp-dev",
        "is linked into edgectl, to filter the system calls of containers",
    ),
    needed(
        Program("busybox"),
        "busybox-static",
        "is the program that tests and the demo run, in containers too",
    ),
    needed(
        Program("curl"),
        "curl",
        "asks the programs of the demo, and the API in the README's examples",
    ),
    Tool {
        mark: Program("ip"),
        package: "iproute2",
        why: "makes the lab's network namespaces",
        need: Need::Root,
    },
    Tool {
        mark: Program("nft"),
        package: "nftables",
        why: "drops the lab's packets in silence",
        need: Need::Root,
    },
    tested(
        Program("runc"),
        "runc",
        "runs containers as one of three runtimes, and is measured against",
    ),
    tested(Program("crun"), "crun", "runs containers as one of three runtimes"),
    tested(Program("docker-registry"), "docker-registry", "is the registry that images come from"),
    tested(Program("skopeo"), "skopeo", "writes images and archives that are not ours"),
    tested(Program("umoci"), "umoci", "writes images and archives that are not ours"),
    tested(Program("htpasswd"), "apache2-utils", "writes the registry's passwords"),
    tested(Program("openssl"), "openssl", "writes the registry's certificates"),
    tested(Program("ping"), "iputils-ping", "tries the ways between containers"),
    tested(Program("sysctl"), "procps", "sets up the machines between which networks are tried"),
    tested(Program("iptables-legacy"), "iptables", "writes rules of a host that networks respect"),
    tested(Program("dig"), "bind9-dnsutils", "asks the name server of containers"),
    tested(Program("musl-gcc"), "musl-tools", "builds a program that resolves names by musl"),
    tested(Header("ares.h"), "libc-ares-dev", "builds a program that resolves names by c-ares"),
    tested(Program("iperf3"), "iperf3", "measures what networks carry"),
    tested(Program("prometheus"), "prometheus", "finds tasks and nodes through the API"),
    tested(
        Python("docker"),
        "python3-docker",
        "is Docker's library for Python, a client of the API",
    ),
    tested(Program("tcpdump"), "tcpdump", "sees what nodes send to each other"),
];

/// A package without which nothing works.
const fn needed(mark: Mark, package: &'static str, why: &'static str) -> Tool {
    Tool { mark, package, why, need: Need::Always }
}

/// A package that the product never starts.
const fn tested(mark: Mark, package: &'static str, why: &'static str) -> Tool {
    Tool { mark, package, why, need: Need::Tests }
}

/// Installs missing packages; reports what is installed.
pub fn run() -> Result<()> {
    toolchain()?;
    let account = repo::account();
    let missing = missing(account);
    if missing.is_empty() {
        eprintln!("setup: everything is there");
    } else {
        for tool in &missing {
            let who = if tool.need == Need::Tests { " (only tests and the bench)" } else { "" };
            eprintln!("setup: {} is missing: it {}{who}", tool.package, tool.why);
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
        .filter(|tool| tool.need.is_of(account))
        .filter(|tool| !tool.mark.is_there())
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
    // A bare image has no package lists, or old ones: update once, then install the packages.
    succeed(apt_get().args(["--quiet", "update"]))?;
    succeed(
        apt_get().args(["--quiet", "install", "--yes", "--no-install-recommends"]).args(&packages),
    )?;
    match missing.iter().find(|tool| !tool.mark.is_there()) {
        Some(Tool { package, mark: Program(file) | Header(file) | Python(file), .. }) => {
            bail!("{package} was installed but {file} is not there")
        }
        None => Ok(()),
    }
}

/// apt-get's output goes to stderr, because stdout is for results.
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
    fn what_is_there_is_told_from_what_is_not() {
        assert!(Program("sh").is_there());
        assert!(!Program("no-such-program").is_there());
        assert!(!Header("no-such-header.h").is_there());
    }

    #[test]
    fn a_person_without_root_is_told_what_to_type() {
        let busybox = TOOLS.iter().find(|tool| tool.package == "busybox-static").unwrap();
        let error = install(&[busybox], Account::Person).unwrap_err().to_string();
        assert!(error.contains("sudo apt-get install"), "{error}");
        assert!(error.contains("busybox-static"), "{error}");
    }
}
