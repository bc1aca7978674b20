//! The limit of open files: raised for the agent, original for everything that the agent starts.
//!
//! Systems give a low soft limit and a high hard one, because programs that use `select` break
//! above 1,024; a program that can use more raises the limit itself. The agent does. Tasks and
//! commands in them start with the limit that the agent was given: their programs were built for
//! that.

use std::ffi::OsStr;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The soft limit that this process was given, if it has raised it.
static GIVEN: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of this process to the hard one. Where that is refused, it stays.
pub fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        // If called twice, the first call knows the original limit.
        let _ = GIVEN.set(soft);
    }
}

/// How many files this process may have open.
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft)
}

/// The last argument for a monitor or a helper: the original limit.
pub(crate) fn word() -> Option<String> {
    GIVEN.get().map(u64::to_string)
}

/// Restores the original limit in a monitor or a helper, for everything that it starts.
pub(crate) fn lower() {
    lower_to(std::env::args_os().nth(3).as_deref());
}

fn lower_to(word: Option<&OsStr>) {
    let given = word.and_then(OsStr::to_str).and_then(|word| word.parse::<u64>().ok());
    let (Some(given), Ok((_, hard))) = (given, getrlimit(Resource::RLIMIT_NOFILE)) else { return };
    // A failure is not fatal: the limit stays higher.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, given.min(hard), hard);
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn what_the_agent_raises_for_itself_its_tasks_do_not_get() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
        setrlimit(Resource::RLIMIT_NOFILE, 256.min(hard), hard).expect("lowered");
        raise();
        assert_eq!(limit(), hard);
        let word = word().map(OsString::from);
        assert_eq!(word.as_deref(), Some(OsStr::new("256")));
        lower_to(word.as_deref());
        assert_eq!(limit(), 256);
        lower_to(Some(OsStr::new("junk")));
        assert_eq!(limit(), 256);
    }
}
