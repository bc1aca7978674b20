//! The `/etc/hosts` of a container whose addresses change while it runs.
//!
//! It must never put another file in the place of this one, which the container has mounted, and
//! never touch lines that are not about the container's own addresses: its programs may write here.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;
use runtime::run_dir;

/// Writes the addresses that a task has now in the place of those that it had.
pub(super) fn follow(
    runs: &Path,
    run: Run,
    before: &[TaskInterface],
    now: &[TaskInterface],
) -> io::Result<()> {
    let path = run_dir::path(runs, run).join("hosts");
    let text = match fs::read_to_string(&path) {
        // Programs of the host have the host's.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text?,
    };
    let addresses = |all: &[TaskInterface]| -> Vec<IpAddr> {
        all.iter().flat_map(|interface| interface.addresses.iter().copied()).collect()
    };
    match renumbered(&text, &addresses(before), &addresses(now)) {
        Some(text) => fs::write(&path, text),
        None => Ok(()),
    }
}

/// `None`: no line is about one of the addresses from before.
fn renumbered(text: &str, before: &[IpAddr], now: &[IpAddr]) -> Option<String> {
    let names_of_own = |line: &str| -> Option<String> {
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        let names: Vec<&str> = words.collect();
        (before.contains(&address) && !names.is_empty()).then(|| names.join(" "))
    };
    let names = text.lines().find_map(names_of_own)?;
    let mut own: Vec<String> = now.iter().map(|address| format!("{address}\t{names}\n")).collect();
    let mut lines = String::new();
    for line in text.lines() {
        match names_of_own(line) {
            // All of them at the place of the first.
            Some(_) => lines.extend(own.drain(..)),
            None => lines.extend([line, "\n"]),
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "127.0.0.1\tlocalhost\n10.0.0.9\tdb # by hand\n10.1.0.5\tweb-1\n\
                        fd00::5\tweb-1\n192.0.2.1\tgate\n";

    fn addresses(words: &[&str]) -> Vec<IpAddr> {
        words.iter().map(|word| word.parse().expect("an address")).collect()
    }

    #[test]
    fn only_lines_of_own_addresses_change() {
        let before = addresses(&["10.1.0.5", "fd00::5"]);
        let text = renumbered(TEXT, &before, &addresses(&["10.1.0.7", "fd00::5", "10.2.0.3"]));
        let wanted = "127.0.0.1\tlocalhost\n10.0.0.9\tdb # by hand\n10.1.0.7\tweb-1\n\
                      fd00::5\tweb-1\n10.2.0.3\tweb-1\n192.0.2.1\tgate\n";
        assert_eq!(text.as_deref(), Some(wanted));
    }

    #[test]
    fn what_says_nothing_of_own_addresses_stays() {
        assert_eq!(renumbered(TEXT, &addresses(&["10.1.0.6"]), &addresses(&["10.1.0.7"])), None);
    }
}
