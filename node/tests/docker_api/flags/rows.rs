//! `docs/docker-compatibility.md`: every flag has a row, and every row names tests that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::text;

const DOCUMENT: &str = include_str!("../../../../docs/docker-compatibility.md");
/// What `docker service COMMAND --help`, `docker stack COMMAND --help` and so on of 28.2 list: a line for each
/// command.
const NAMES: &str = include_str!("names.txt");
const CLIENT: &str = "28.2.";
pub const STATES: [&str; 4] = ["works", "differs", "refused", "not yet"];

/// Two words, such as `service ls`, and what stands behind them.
fn command_of(line: &'static str) -> (&'static str, &'static str) {
    let ends = line.match_indices(' ').map(|(at, _)| at).chain([line.len()]);
    line.split_at(ends.take(2).last().unwrap_or_default())
}

/// The flags of each command.
fn known() -> BTreeMap<&'static str, BTreeSet<String>> {
    let line = |line: &'static str| {
        let (command, flags) = command_of(line);
        (command, flags.split_whitespace().map(str::to_owned).collect())
    };
    NAMES.lines().map(line).collect()
}

struct Row {
    command: &'static str,
    flag: String,
    state: &'static str,
    tests: Vec<&'static str>,
}

pub fn quoted(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The rows below each `## docker service COMMAND`, `## docker stack COMMAND` and
/// `## docker container run`.
fn rows() -> Vec<Row> {
    let mut command = "";
    let mut rows = Vec::new();
    for line in DOCUMENT.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            let title = title.strip_prefix("docker ").unwrap_or_default();
            let commands = ["service ", "stack ", "container run"];
            let has_rows = commands.iter().any(|command| title.starts_with(command));
            command = if has_rows { title } else { "" };
        }
        let Some(cells) = line.strip_prefix("| `--").filter(|_| !command.is_empty()) else {
            continue;
        };
        let cells = cells.trim_end_matches('|').split('|').map(str::trim);
        let cells: Vec<&'static str> = cells.collect();
        let [flag, state, _, tests] = cells[..] else { panic!("not four cells: {line}") };
        let flag = flag.split(['`', ' ', ',']).next().unwrap_or_default().to_owned();
        rows.push(Row { command, flag, state, tests: quoted(tests) });
    }
    rows
}

#[test]
fn every_flag_of_docker_service_and_stack_has_a_row() {
    let rows = rows();
    for (command, flags) in known() {
        let of = rows.iter().filter(|row| row.command == command);
        let mut left = flags;
        for Row { flag, .. } in of {
            assert!(left.remove(flag), "docker {command} has no --{flag}, or two rows");
        }
        assert!(left.is_empty(), "docker {command}: no row for {left:?}");
    }
}

#[test]
fn every_row_has_a_state_and_tests_that_exist() {
    let tests = all_tests();
    for Row { command, flag, state, tests: named } in rows() {
        let row = format!("docker {command} --{flag}");
        assert!(STATES.contains(&state), "{row}: {state}");
        assert!(state == "not yet" || !named.is_empty(), "{row}: no test");
        for test in named {
            assert!(tests.contains(test), "{row}: there is no test {test}");
        }
    }
}

/// The names of all tests, and of other functions.
pub fn all_tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["node", "runtime", "crdt-state", "overlay", "chaos"] {
        collect(&root.join(folder), &mut tests);
    }
    tests
}

/// The names of all functions below a folder.
fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).expect("UTF-8");
            let named = source.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            names.extend(named.map(|(name, _)| name.to_owned()));
        }
    }
}

/// The stored names are what the client lists, where that version of it is installed.
#[test]
fn the_names_are_those_of_docker_s_help() {
    let docker = |words: &[&str]| Command::new("docker").args(words).output().ok();
    let version = docker(&["--version"]).map(|output| text(&output.stdout)).unwrap_or_default();
    if !version.contains(&format!(" {CLIENT}")) {
        eprintln!("SKIPPED without Docker's client {CLIENT}x: {version}");
        return;
    }
    for (command, flags) in known() {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = docker(&words).expect("its help");
        let help = text(&help.stdout);
        let options = help.split_once("Options:").map_or("", |(_, options)| options);
        let listed: BTreeSet<String> = options
            .lines()
            .filter_map(|line| line.split_once("--").filter(|(before, _)| before.len() <= 6))
            .filter_map(|(_, rest)| rest.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        assert_eq!(listed, flags, "docker {command}");
    }
}
