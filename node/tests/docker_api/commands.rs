//! The commands of Docker's client that concern a swarm or its node, as they are typed: what they
//! print, and what they end with. `docs/docker-compatibility.md` has a row for each of them.

#[path = "commands/fleet_wide.rs"]
mod fleet_wide;
#[path = "commands/local.rs"]
mod local;
#[path = "commands/rows.rs"]
mod rows;

use std::process::Output;

use crate::fleet::Fleet;

/// Words that are typed, the code that the client ends with, and words that it prints.
type Case<'a> = (&'a str, i32, &'a str);

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Types commands one after the other at the first node.
fn type_all(fleet: &Fleet, cases: &[Case<'_>]) {
    for (line, code, words) in cases {
        let typed: Vec<&str> = line.split(' ').collect();
        let output = fleet.docker(1, &typed);
        let said = said(&output);
        assert!(said.contains(words), "docker {line}: {said}");
        assert_eq!(output.status.code(), Some(*code), "docker {line}: {said}");
        assert!(!said.contains(": page not found"), "docker {line}: {said}");
    }
}
