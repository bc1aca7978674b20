//! The one interface to the OCI runtimes, which make containers from bundles.
//!
//! A backend creates and starts one container, and runs further programs in it. Everything else
//! (its end, its exit code, its logs, its cgroup, its files) is the monitor's work and needs no
//! runtime, so that nothing depends on a runtime that was removed or upgraded meanwhile. A backend
//! must never read what a container writes, and never wait for its end.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::unistd::Pid;
use oci_spec::runtime::{Process, Spec};

use crate::refusal::StartError;

/// In the folder of the run: the runtime's own state.
pub const STATE: &str = "oci";
/// In the folder of the run: the runtime's input.
pub const CONFIG: &str = "config.json";

/// One container as a runtime sees it.
#[derive(Debug)]
pub struct Bundle<'a> {
    /// The folder of the run, absolute, with `config.json`.
    pub dir: &'a Path,
    /// Its name: that of the folder.
    pub id: &'a str,
    /// The content of `config.json`.
    pub spec: &'a Spec,
    /// A first process of our own starts the program.
    pub init: bool,
}

/// A program's input and output.
#[derive(Debug, Clone, Copy)]
pub struct Stdio<'a> {
    /// Standard input, output and error; ignored with a console.
    pub streams: [BorrowedFd<'a>; 3],
    /// The socket that gets the terminal, if there is to be one.
    pub console: Option<&'a Path>,
}

/// Writes the description of a container for the runtime.
pub fn write_config(dir: &Path, spec: &Spec) -> Result<(), StartError> {
    let written = serde_json::to_vec(spec)
        .map_err(io::Error::from)
        .and_then(|text| fs::write(dir.join(CONFIG), text));
    written.map_err(|source| StartError::RunDir { path: CONFIG.to_owned(), source })
}

/// An OCI runtime.
pub trait Backend {
    /// Makes the container without running its program yet. Its first process becomes a child of
    /// this process or of its subreaper.
    fn create(&mut self, bundle: &Bundle<'_>, stdio: Stdio<'_>) -> Result<Pid, StartError>;

    /// Starts the program.
    fn start(&mut self, bundle: &Bundle<'_>) -> Result<(), StartError>;

    /// Runs a further program in a running container. It becomes a child of this process, which
    /// must be a subreaper.
    fn exec(
        &mut self,
        bundle: &Bundle<'_>,
        process: &Process,
        stdio: Stdio<'_>,
    ) -> Result<Pid, StartError>;
}
