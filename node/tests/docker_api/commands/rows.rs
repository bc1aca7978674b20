//! `docs/docker-compatibility.md`: the table of commands has a row for each that Docker's client
//! lists, and each row names tests that exist.

use std::collections::BTreeSet;
use std::process::Command;

use crate::flags::rows::{STATES, all_tests, quoted};

const DOCUMENT: &str = include_str!("../../../../docs/docker-compatibility.md");

/// Groups of commands that concern a swarm or its node.
const GROUPS: &str = "builder config context image manifest network node plugin secret swarm system \
                      trust volume";

/// Commands without a group that do.
const SINGLE: &str = "build buildx checkpoint cp events exec history images import info inspect load \
                      login logout logs port ps pull push rmi save search stats tag top version";

/// The first cell of each row, its state, and the tests that it names.
fn rows() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let (_, table) = DOCUMENT.split_once("\n## Commands\n").expect("the chapter is there");
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [command, state, _, tests] = cells[..] else { panic!("not four cells: {line}") };
        (command, state, quoted(tests))
    };
    rows.map(row).collect()
}

#[test]
fn every_row_of_a_command_has_a_state_and_tests_that_exist() {
    let tests = all_tests();
    for (command, state, named) in rows() {
        assert!(STATES.contains(&state), "{command}: {state}");
        assert!(!named.is_empty(), "{command}: no test");
        for test in named {
            assert!(tests.contains(test), "{command}: there is no test {test}");
        }
    }
}

#[test]
fn every_command_of_docker_s_help_has_a_row() {
    let named: BTreeSet<String> =
        rows().iter().flat_map(|(cell, ..)| quoted(cell)).map(str::to_owned).collect();
    for command in SINGLE.split_ascii_whitespace() {
        assert!(named.contains(command), "no row for `docker {command}`");
    }
    let help = |group: &str| {
        let output = Command::new("docker").args([group, "--help"]).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for group in GROUPS.split_ascii_whitespace() {
        let Some(help) = help(group) else { return };
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in listed.take_while(|line| line.starts_with("  ")) {
            let command = line.split_whitespace().next().expect("a name");
            let command = format!("{group} {command}");
            assert!(named.contains(&command), "no row for `docker {command}`");
        }
    }
}
