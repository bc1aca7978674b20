//! `cargo xtask tidy`: checks the house rules that rustfmt and clippy do not know.
//!
//! Each rule reads sources or manifests and returns findings; each finding names the place, the
//! rule and the reason. It must never change a file, and never report a finding as a mere warning:
//! an exception is written into the rule's own list, with its reason.

mod circles;
mod crates;
mod hygiene;
mod layout;
mod purity;
mod signatures;
mod source;
mod words;

use crate::repo;
use anyhow::{Result, bail};
use source::Source;
use std::fmt;

/// One place that breaks one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    file: String,
    line: usize,
    rule: &'static str,
    what: String,
    why: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { file, line, rule, what, why } = self;
        write!(f, "{file}:{line}: [{rule}] {what}\n    because {why}")
    }
}

/// Checks everything, prints the findings, and fails if there is one.
pub fn run() -> Result<()> {
    let metadata = repo::metadata()?;
    let sources = source::sources(&repo::root())?;
    let mut findings = crates::imports(&metadata);
    findings.extend(crates::lints(&metadata)?);
    findings.extend(layout::clippy_files(&repo::root())?);
    findings.extend(sources.iter().flat_map(check));
    findings.extend(circles::check(&sources));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            eprintln!("tidy: {} files, nothing to say", sources.len());
            Ok(())
        }
        count => bail!("tidy: {count} findings"),
    }
}

/// All rules about one file.
fn check(source: &Source) -> Vec<Finding> {
    let mut findings = layout::check(source);
    findings.extend(hygiene::check(source));
    findings.extend(purity::check(source));
    findings.extend(signatures::check(source));
    findings.extend(words::check(source));
    findings
}
