//! The time of runc alone: `runc run` of a bundle that is already unpacked.

use crate::step::succeed;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An unpacked bundle.
pub struct Bare(PathBuf);

/// The id of the only container that runs this way at a time.
const ID: &str = "edgectl-bench";

impl Bare {
    /// Unpacks an archive of one layer. The bundle runs the same program as the measured
    /// containers, and like them it uses the network of the process that starts it.
    pub fn unpack(archive: &Path, bundle: &Path) -> Result<Bare> {
        let root = bundle.join("rootfs");
        std::fs::create_dir_all(&root)?;
        let tar = |from: &Path, to: &Path| {
            let mut tar = Command::new("tar");
            tar.arg("--extract").arg("--file").arg(from).arg("--directory").arg(to);
            succeed(&mut tar)
        };
        tar(archive, bundle)?;
        tar(&bundle.join("layer.tar"), &root)?;
        succeed(Command::new("runc").arg("spec").current_dir(bundle))?;
        let path = bundle.join("config.json");
        let mut spec: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(["sleep", "100000"]);
        let namespaces = spec["linux"]["namespaces"].as_array_mut().context("runc's spec")?;
        namespaces.retain(|namespace| namespace["type"] != "network");
        std::fs::write(&path, spec.to_string())?;
        Ok(Bare(bundle.to_owned()))
    }

    /// Runs it once: the time from the start of runc until the container runs.
    pub fn run(&self) -> Result<Duration> {
        let mut run = Command::new("runc");
        run.args(["run", "--detach", "--bundle"]).arg(&self.0).arg(ID);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let status = run.status().context("cannot start runc")?;
        let took = begun.elapsed();
        // Deletes the container even if the run failed.
        let gone = Command::new("runc").args(["delete", "--force", ID]).status();
        ensure!(status.success(), "runc run: {status}");
        ensure!(gone.is_ok_and(|status| status.success()), "runc delete does not work");
        Ok(took)
    }
}
