//! `cargo xtask mutants`: removes each rule of a list from a copy of the sources, and checks that
//! the test that guards it fails. A rule that can be removed without a failing test is not guarded.
//!
//! The list is `xtask/mutants/*.patch`: three lines that name the rule, the package and the test,
//! then the patch that removes the rule. Every push checks that all patches still apply. The run
//! itself takes minutes and is for people who change a rule or its test. It must never touch the
//! checkout: the copy is in the target folder, with build results of its own.

use crate::repo;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which mutants.
#[derive(Args)]
pub struct MutantsArgs {
    /// Only those whose names contain one of these
    pub names: Vec<String>,
    /// Only see whether every patch applies
    #[arg(long)]
    pub check: bool,
}

/// A rule and the patch that removes it.
#[derive(Debug, PartialEq, Eq)]
struct Mutant {
    name: String,
    rule: String,
    package: String,
    /// Arguments of `cargo test`: where the test is, and its name.
    test: Vec<String>,
    patch: String,
}

/// The result of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The test failed, as it should.
    Red,
    /// The test passed: nothing guards the rule.
    Green,
    /// The code without the rule does not compile, so nothing is proved.
    NotCompiled,
}

/// Runs the list, and prints a table.
pub fn run(args: &MutantsArgs) -> Result<()> {
    let mutants = listed(&repo::root().join("xtask/mutants"))?;
    let wanted = |mutant: &Mutant| {
        let is_named = |name: &String| mutant.name.contains(name.as_str());
        args.names.is_empty() || args.names.iter().any(is_named)
    };
    let mutants: Vec<Mutant> = mutants.into_iter().filter(wanted).collect();
    ensure!(!mutants.is_empty(), "no mutant has this name; see xtask/mutants");
    for mutant in &mutants {
        apply(&repo::root(), mutant, &["--check"])?;
    }
    if args.check {
        eprintln!("mutants: {} patches apply", mutants.len());
        return Ok(());
    }
    let copy = Copy::make()?;
    for mutant in &mutants {
        copy.sees_green(mutant)?;
    }
    let mut unguarded = 0;
    for mutant in &mutants {
        let fate = copy.try_out(mutant)?;
        unguarded += usize::from(fate != Fate::Red);
        let word = match fate {
            Fate::Red => "red",
            Fate::Green => "GREEN",
            Fate::NotCompiled => "NOT COMPILED",
        };
        println!("{word:<13} {:<28} {}", mutant.name, mutant.rule);
    }
    ensure!(unguarded == 0, "{unguarded} of {} rules can be taken out unnoticed", mutants.len());
    println!("{} rules, each taken out turns its test red", mutants.len());
    Ok(())
}

/// All mutants in a folder, by name.
fn listed(folder: &Path) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path)?;
        mutants.push(read(&name, &text).with_context(|| path.display().to_string())?);
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

fn read(name: &str, text: &str) -> Result<Mutant> {
    let field = |field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        line.map(str::to_owned).with_context(|| format!("no line `{field}: …`"))
    };
    let at = text.find("diff --git").context("no patch")?;
    Ok(Mutant {
        name: name.to_owned(),
        rule: field("rule")?,
        package: field("package")?,
        test: field("test")?.split_whitespace().map(str::to_owned).collect(),
        patch: text[at..].to_owned(),
    })
}

/// Applies a patch with git; line numbers may have changed, but the lines must not.
fn apply(root: &Path, mutant: &Mutant, flags: &[&str]) -> Result<()> {
    let mut git = Command::new("git")
        .current_dir(root)
        // The copy is inside the checkout; git would treat its paths as the checkout's.
        .env("GIT_CEILING_DIRECTORIES", root.parent().context("a checkout lies in a folder")?)
        .args(["apply", "--recount", "-"])
        .args(flags)
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start git")?;
    git.stdin.take().context("git has no input")?.write_all(mutant.patch.as_bytes())?;
    let applies = git.wait()?.success();
    ensure!(applies, "xtask/mutants/{}.patch does not apply any more; make it anew", mutant.name);
    Ok(())
}

/// A copy of the sources, with build results of its own.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make() -> Result<Copy> {
        let folder = repo::metadata()?.target_directory.join("mutants");
        let copy = Copy { root: folder.join("tree"), target: folder.join("target") };
        if copy.root.exists() {
            std::fs::remove_dir_all(&copy.root)?;
        }
        let listed = Command::new("git")
            .current_dir(repo::root())
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output()
            .context("cannot start git")?;
        for path in String::from_utf8(listed.stdout)?.split('\0').filter(|path| !path.is_empty()) {
            let (from, to) = (repo::root().join(path), copy.root.join(path));
            // A file that is deleted but not yet committed is still listed.
            if from.is_file() {
                std::fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
                std::fs::copy(&from, &to)?;
            }
        }
        Ok(copy)
    }

    fn cargo_test(&self, mutant: &Mutant, flags: &[&str]) -> Result<std::process::Output> {
        let mut cargo = repo::cargo();
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo.args(["test", "--package", &mutant.package]).args(flags).args(&mutant.test);
        cargo.output().context("cargo does not start")
    }

    /// With the rule in place the test must exist, and pass.
    fn sees_green(&self, mutant: &Mutant) -> Result<()> {
        let output = self.cargo_test(mutant, &[])?;
        let said = String::from_utf8_lossy(&output.stdout);
        let passed = said
            .lines()
            .any(|line| line.contains("test result: ok. ") && !line.contains(" 0 passed"));
        if !output.status.success() || !passed {
            eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
            bail!(
                "{}: with the rule in place no test `{}` passes",
                mutant.name,
                mutant.test.join(" ")
            );
        }
        Ok(())
    }

    fn try_out(&self, mutant: &Mutant) -> Result<Fate> {
        apply(&self.root, mutant, &[])?;
        let built = self.cargo_test(mutant, &["--no-run"])?.status.success();
        let fate = match built {
            false => Fate::NotCompiled,
            true if self.cargo_test(mutant, &[])?.status.success() => Fate::Green,
            true => Fate::Red,
        };
        apply(&self.root, mutant, &["--reverse"])?;
        Ok(fate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_names_its_rule_its_package_and_its_test() {
        let text = "rule: a removal wins\npackage: crdt-state\ntest: --test removals a_removal\n\ndiff --git a/x b/x\n-a\n+b\n";
        let mutant = read("removal", text).expect("a mutant");
        assert_eq!(
            (mutant.rule.as_str(), mutant.package.as_str()),
            ("a removal wins", "crdt-state")
        );
        assert_eq!(mutant.test, ["--test", "removals", "a_removal"]);
        assert!(mutant.patch.starts_with("diff --git"));
        assert!(read("none", "rule: x\n").is_err());
    }
}
