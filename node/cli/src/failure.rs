//! The error message of a command that failed: what happened, why, what to type. This is the only
//! place that renders errors.
//!
//! ```text
//! error: no service "wbe"
//!   why: this node knows 2 services, none of this name or id
//!   try: edgectl service inspect web
//! ```
//! No part ends in a full stop, or contains an error of the transport word for word.

use std::fmt;
use std::process::ExitCode;

/// How a command ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Done,
    /// The command failed.
    Failed,
    /// Stored, but some tasks fit on no node.
    CannotPlace,
    /// `status`: something that should run does not, or a node is unreachable.
    Degraded,
    /// `status`: this node reaches no other.
    Island,
    /// `agent`: this node was removed from the fleet.
    Removed,
    /// `exec`: the exit code of the command in the task.
    Code(u8),
}

impl Exit {
    /// The documented number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::CannotPlace => 2,
            Exit::Degraded => 3,
            Exit::Island => 4,
            Exit::Removed => 5,
            Exit::Code(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command ends with another code than [`Exit::Done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    what: String,
    why: Vec<String>,
    hints: Vec<String>,
    exit: Exit,
    answer: Option<String>,
}

impl Failure {
    /// A failure with what happened, in one line.
    pub fn new(what: impl Into<String>) -> Failure {
        let (why, hints, answer) = (Vec::new(), Vec::new(), None);
        Failure { what: what.into(), why, hints, exit: Exit::Failed, answer }
    }

    /// An early end that is no failure: this is what was asked for, for stdout.
    pub fn answer(text: String) -> Failure {
        Failure { answer: Some(text), ..Failure::new(String::new()) }.exit(Exit::Done)
    }

    /// What was asked for, if the command ended early with it.
    pub fn answered(&self) -> Option<&str> {
        self.answer.as_deref()
    }

    /// Adds a line that says why.
    pub fn why(mut self, why: impl Into<String>) -> Failure {
        self.why.push(why.into());
        self
    }

    /// Adds a command to type, or another thing to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }

    /// Ends the command with another code than 1.
    pub fn exit(mut self, exit: Exit) -> Failure {
        self.exit = exit;
        self
    }

    /// What to type.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The exit code of the command.
    pub fn code(&self) -> Exit {
        self.exit
    }

    /// Is the reader of the output gone?
    pub fn is_silent(&self) -> bool {
        self.what.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        let parts = [("why", &self.why), ("try", &self.hints)];
        for (label, lines) in parts {
            for (index, line) in lines.iter().enumerate() {
                let label = if index == 0 { format!("{label}:") } else { String::new() };
                write!(f, "\n  {label:4} {line}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    /// Only errors of writing to the terminal or to a pipe arrive here; every other error names its
    /// file.
    fn from(error: std::io::Error) -> Failure {
        let what = match error.kind() {
            // `edgectl service ls | head -1`: the reader has all that it needs.
            std::io::ErrorKind::BrokenPipe => String::new(),
            _ => format!("cannot write the output: {error}"),
        };
        Failure::new(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_to_type() {
        let failure = Failure::new("no service \"wbe\"")
            .why("this node knows 2 services, none of this name or id")
            .hint("edgectl service inspect web")
            .hint("edgectl service ls");
        assert_eq!(
            failure.to_string(),
            "no service \"wbe\"\n  why: this node knows 2 services, none of this name or id\n  \
             try: edgectl service inspect web\n       edgectl service ls"
        );
    }

    #[test]
    fn codes_are_those_of_the_documentation() {
        let all = [Exit::Done, Exit::Failed, Exit::CannotPlace, Exit::Degraded, Exit::Island];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4]);
    }
}
