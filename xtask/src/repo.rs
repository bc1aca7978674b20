//! The paths of the repository and its build results, and the cargo that builds them.
//!
//! This module only knows paths. It must never guess a target directory: cargo is asked.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub fn root() -> PathBuf {
    // Cargo says where it runs this from; without it, where it was built.
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&own).parent().expect("xtask lies in the workspace's root").to_path_buf()
}

/// A cargo command that runs in the root: the same cargo that started this program.
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root());
    // Variables that cargo set for xtask itself must not reach the packages that are built now:
    // some packages read them and would be rebuilt every time.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// The output of `cargo metadata` for the workspace; only the parts that are read here.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The members, in cargo's order.
    pub packages: Vec<Package>,
    /// Where build results are stored, whatever the environment and the config say.
    pub target_directory: PathBuf,
}

/// One member of the workspace.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name, as in `[package]`.
    pub name: String,
    /// The path of its `Cargo.toml`.
    pub manifest_path: PathBuf,
    /// Everything it depends on: normal, build and dev.
    pub dependencies: Vec<Dependency>,
}

/// One entry of a package's dependencies.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package that is imported.
    pub name: String,
}

/// Asks cargo for the workspace's metadata; needs no network.
pub fn metadata() -> Result<Metadata> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")
}

/// The account that runs this program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// It may create namespaces, links and packet filters, and install packages.
    Root,
    /// It may not do these things.
    Person,
}

/// The effective user, as the kernel reports it.
pub fn account() -> Account {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or_default();
    match line.split_whitespace().nth(2) {
        Some("0") => Account::Root,
        _ => Account::Person,
    }
}

/// The first path in `PATH`, or in the system's own folders, that holds `program`.
pub fn program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
