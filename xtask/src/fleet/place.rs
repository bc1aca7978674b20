//! A network namespace in which the demo and the bench run programs: that of a task, or of a node.

use super::view::Task;
use super::{Fleet, Node};
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A network namespace.
#[derive(Debug, Clone)]
pub struct Place(String);

impl Place {
    /// That of a container.
    pub fn of_task(task: &Task) -> Place {
        Place(format!("/proc/{}/ns/net", task.pid))
    }

    /// That of a node, which stands for a machine.
    pub fn of_node(fleet: &Fleet, node: &Node) -> Place {
        Place::named(&format!("edgelab-{}-{}", fleet.name(), node.name))
    }

    /// The one that this file is.
    pub fn at(file: &Path) -> Place {
        Place(file.display().to_string())
    }

    /// One with a name.
    pub fn named(name: &str) -> Place {
        Place(format!("/run/netns/{name}"))
    }

    /// A program here.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.0)).arg("--").args(words);
        command
    }

    /// Runs a program to its end; returns its stdout.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = self.command(words);
        let output = command.stdin(Stdio::null()).output().context("cannot start nsenter")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {} {said}", words.join(" "), error.trim());
        Ok(said)
    }

    /// Runs `cargo xtask load` here to its end; returns what it saw.
    pub fn load<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T> {
        self.start_load(words)?.collect()
    }

    /// Starts `cargo xtask load` here, which ends with us at the latest.
    pub fn start_load(&self, words: &[&str]) -> Result<Running> {
        // A build puts another file in the place of this program while it runs, and takes away the one
        // that runs; this link leads to it all the same.
        let own = format!("/proc/{}/exe", std::process::id());
        self.start(&[&[own.as_str(), "load"], words].concat())
    }

    /// Starts a program here, which ends with us at the latest.
    pub fn start(&self, words: &[&str]) -> Result<Running> {
        let mut command =
            self.command(&[&["setpriv", "--pdeathsig", "KILL", "--"], words].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().context("cannot start nsenter")?;
        Ok(Running { child, line: words.join(" ") })
    }
}

/// A program that runs; it is ended when this value is dropped.
pub struct Running {
    child: Child,
    line: String,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended by itself?
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Closes its stdin, waits for its end, and returns what it printed.
    pub fn finish<T: DeserializeOwned>(mut self) -> Result<T> {
        drop(self.child.stdin.take());
        self.collect()
    }

    /// Waits for its end, and returns what it printed.
    pub fn collect<T: DeserializeOwned>(mut self) -> Result<T> {
        let stdout = self.child.stdout.take().context("stdout is piped")?;
        let text = std::io::read_to_string(stdout)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{}: {status}", self.line);
        serde_json::from_str(&text).with_context(|| format!("{}: {text}", self.line))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
