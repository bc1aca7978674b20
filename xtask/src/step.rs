//! A named step of a longer run: it is announced and timed, and named again when it fails.
//!
//! It prints on stderr, so that stdout stays the programs' own. It must never hide the output of a
//! program: a failing step shows its reason above its name.

use anyhow::{Result, bail};
use std::process::Command;
use std::time::{Duration, Instant};

/// The steps that have run, with their times.
#[derive(Default)]
pub struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs one step; on failure the error names the step.
    pub fn run(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        eprintln!("\n==> {name}");
        let begun = Instant::now();
        let result = work();
        let took = begun.elapsed();
        self.done.push((name.to_owned(), took));
        match result {
            Ok(()) => {
                eprintln!("    {name}: ok, {:.1} s", took.as_secs_f64());
                Ok(())
            }
            Err(error) => Err(error.context(format!("step `{name}` failed"))),
        }
    }

    /// Prints every step with its time, then the sum of the times.
    pub fn summary(&self) {
        eprintln!();
        for (name, took) in &self.done {
            eprintln!("{:>8.1} s  {name}", took.as_secs_f64());
        }
        let sum: Duration = self.done.iter().map(|(_, took)| *took).sum();
        eprintln!("{:>8.1} s  in all", sum.as_secs_f64());
    }
}

/// Runs a program with our own stdin and output. An exit code other than zero is an error that
/// names the command to repeat it.
pub fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status();
    let line = spelled(command);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{status}; to see it again: {line}"),
        Err(error) => bail!("cannot start `{line}`: {error}"),
    }
}

/// The command as a person would type it.
fn spelled(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let words = command.get_args().map(|word| word.to_string_lossy());
    std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_as_one_types_it() {
        let error = succeed(Command::new("/bin/false").arg("--really")).unwrap_err();
        assert!(error.to_string().contains("false --really"), "{error}");
    }

    #[test]
    fn a_failing_step_is_named_in_the_error() {
        let error = Steps::default().run("clippy", || bail!("seven warnings")).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `clippy` failed: seven warnings");
    }
}
