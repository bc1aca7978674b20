//! Commands that take several names: each name is tried, each failure is reported when it happens,
//! and no failure stops the others or is lost in the exit code.

use super::failure::{Exit, Failure};
use super::output::complain;

/// The result for the names tried so far.
#[derive(Debug)]
pub struct Each {
    exit: Exit,
}

impl Each {
    /// Nothing has been tried yet.
    pub fn new() -> Each {
        Each { exit: Exit::Done }
    }

    /// The value, or `None` after its failure was reported.
    pub fn take<T>(&mut self, tried: Result<T, impl Into<Failure>>) -> Option<T> {
        tried.map_err(|failure| self.on_failed(&failure.into())).ok()
    }

    fn on_failed(&mut self, failure: &Failure) {
        complain(failure);
        self.exit = match (self.exit, failure.code()) {
            (Exit::Done, code) => code,
            (before, code) if before == code => before,
            // With several kinds of failure only the general code is right.
            _ => Exit::Failed,
        };
    }

    /// Has nothing failed yet?
    pub fn is_well(&self) -> bool {
        self.exit == Exit::Done
    }

    /// The exit code of the command.
    pub fn exit(self) -> Exit {
        self.exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(outcomes: &[Result<(), Exit>]) -> Exit {
        let mut each = Each::new();
        for outcome in outcomes {
            each.take(outcome.map_err(|exit| Failure::new("no").exit(exit)));
        }
        each.exit()
    }

    #[test]
    fn no_success_hides_a_failure_before_or_after_it() {
        assert_eq!(after(&[Ok(()), Ok(())]), Exit::Done);
        assert_eq!(after(&[Err(Exit::Failed), Ok(())]), Exit::Failed);
        assert_eq!(after(&[Ok(()), Err(Exit::Failed)]), Exit::Failed);
        assert_eq!(after(&[Err(Exit::CannotPlace), Ok(())]), Exit::CannotPlace);
        assert_eq!(after(&[Err(Exit::CannotPlace), Err(Exit::Failed)]), Exit::Failed);
        assert_eq!(after(&[Err(Exit::Failed), Err(Exit::CannotPlace)]), Exit::Failed);
    }
}
