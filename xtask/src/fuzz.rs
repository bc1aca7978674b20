//! `cargo xtask fuzz TARGET`: lets libFuzzer look for bytes that crash a target of `chaos/fuzz`, or make it
//! hang or take much memory. It begins with the corpus that is kept there, and works in the target folder.
//! What it finds and what reaches new code can be put into the corpus by `--keep`.

use crate::repo;
use crate::step::succeed;
use anyhow::{Result, ensure};
use clap::Args;
use std::process::Command;

/// Files that are put into the corpus at most.
const KEPT_MAX: usize = 40;
/// Larger ones are left out.
const KEPT_BYTES_MAX: u64 = 4_096;

/// Which target, and for how long.
#[derive(Args)]
pub struct FuzzArgs {
    /// A folder of chaos/fuzz/corpus
    pub target: String,
    /// How long
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Add the smallest of what reached new code to the corpus
    #[arg(long)]
    pub keep: bool,
}

/// Runs it; an error if something was found.
pub fn run(args: &FuzzArgs) -> Result<()> {
    let root = repo::root();
    let kept = root.join("chaos/fuzz/corpus").join(&args.target);
    ensure!(kept.is_dir(), "there is no {}", kept.display());
    ensure!(
        repo::program("cargo-fuzz").is_some(),
        "cargo-fuzz is not installed\ntry: cargo install cargo-fuzz --version 0.13.2"
    );
    let work = root.join("target/fuzz");
    let (found, faults) = (work.join("found").join(&args.target), work.join("faults"));
    std::fs::create_dir_all(&found)?;
    std::fs::create_dir_all(&faults)?;
    // The same crates as the product's: cargo adds libFuzzer to the list and takes nothing newer.
    std::fs::copy(root.join("Cargo.lock"), root.join("chaos/fuzz/libfuzzer/Cargo.lock"))?;
    let mut fuzz = Command::new("cargo");
    // Sanitizers need a nightly compiler, and there is no unsafe code to be watched.
    fuzz.args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir", "chaos/fuzz/libfuzzer"]);
    fuzz.arg("--target-dir").arg(work.join("build")).arg("any").arg(&found).arg(&kept);
    fuzz.args(["--", "-timeout=10", "-rss_limit_mb=1024", "-max_len=65536"]);
    fuzz.arg(format!("-max_total_time={}", args.seconds));
    fuzz.arg(format!("-artifact_prefix={}/{}-", faults.display(), args.target));
    fuzz.env("FUZZ_TARGET", &args.target).current_dir(&root);
    succeed(&mut fuzz)?;
    if args.keep {
        keep(&found, &kept)?;
    }
    Ok(())
}

fn keep(found: &std::path::Path, kept: &std::path::Path) -> Result<()> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(found)? {
        let entry = entry?;
        all.push((entry.metadata()?.len(), entry.path()));
    }
    all.sort();
    let small = all.into_iter().filter(|(len, _)| *len <= KEPT_BYTES_MAX);
    for (_, path) in small.take(KEPT_MAX) {
        let name = path.file_name().expect("a file of a folder");
        std::fs::copy(&path, kept.join(name))?;
    }
    Ok(())
}
