//! The rule of the pure crates: no clock, socket, file, thread, environment or hash-ordered map, no
//! floats in a decision, and no switching off of the lint with the same purpose.
//!
//! Clippy's `disallowed-methods` and `disallowed-types` see calls and types; this rule sees words,
//! so it also covers code behind a `cfg` that clippy did not compile.

use super::{Finding, Source};

/// Folders, or prefixes of paths, whose code is pure.
const PURE: [&str; 5] =
    ["crdt-state/src/", "gossip/src/", "node/core/src/", "overlay/src/", "runtime/fake/src/"];

/// Words that pure code must not contain, each with the reason.
const WORDS: [(&str, &str); 22] = [
    ("SystemTime", CLOCK),
    ("Instant", CLOCK),
    ("UNIX_EPOCH", CLOCK),
    ("UdpSocket", SOCKET),
    ("TcpStream", SOCKET),
    ("TcpListener", SOCKET),
    ("UnixStream", SOCKET),
    ("UnixListener", SOCKET),
    ("UnixDatagram", SOCKET),
    ("tokio", SOCKET),
    ("fs::", FILE),
    ("File::", FILE),
    ("thread::", "a pure machine is stepped by one caller; a history of inputs replays it"),
    ("env::", "the environment is an argument, read once by the agent's config"),
    ("process::", "programs are started by a runtime driver, asked by an action"),
    ("thread_rng", RANDOM),
    ("rand::rng", RANDOM),
    ("getrandom", RANDOM),
    ("HashMap", ORDER),
    ("HashSet", ORDER),
    ("f32", FLOAT),
    ("f64", FLOAT),
];

const CLOCK: &str = "time is an argument: the same inputs must give the same history";
const SOCKET: &str = "the agent owns sockets; a pure machine asks for a packet with an action";
const FILE: &str = "the agent owns files; a pure machine asks for a write with an action";
const RANDOM: &str = "randomness is an argument: a seed replays a failure";
const ORDER: &str = "its order differs from run to run, so plans and traces would too";
const FLOAT: &str = "floats round differently by machine; nodes would plan differently";

/// The rule about one source; silent outside the pure crates.
pub fn check(source: &Source) -> Vec<Finding> {
    if !PURE.iter().any(|folder| source.path.starts_with(folder)) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in source.shipped() {
        let found = WORDS.iter().filter(|(word, _)| holds(line, word));
        findings.extend(found.map(|(word, why)| finding(source, number, word, why)));
    }
    for (at, line) in source.code.iter().enumerate() {
        if line.contains("allow(clippy::disallowed") {
            let why = "a pure crate that may break the rule here may break it anywhere";
            findings.push(finding(source, at + 1, "allow(clippy::disallowed…)", why));
        }
    }
    findings
}

fn finding(source: &Source, line: usize, word: &str, why: &'static str) -> Finding {
    let what = format!("`{}` in pure code", word.trim_end_matches("::"));
    Finding { file: source.path.clone(), line, rule: "purity", what, why }
}

/// Is `word` in the line as a whole word?
fn holds(line: &str, word: &str) -> bool {
    let letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(letter);
        let after = line[at + word.len()..].chars().next().is_some_and(letter);
        !before && (!after || word.ends_with("::"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn every_word_is_found_in_pure_code() {
        for (word, _) in WORDS {
            let text = format!("use a::{word};");
            assert!(!found("gossip/src/seal.rs", &text).is_empty(), "{word}");
        }
    }

    #[test]
    fn the_agent_may_read_the_clock() {
        assert!(found("node/agent/src/lib.rs", "let now = Instant::now();").is_empty());
    }

    #[test]
    fn tests_comments_and_longer_words_are_left_alone() {
        let test = "#[cfg(test)]\nmod tests {\n use std::fs::read;\n}";
        assert!(found("crdt-state/src/key.rs", test).is_empty());
        assert!(found("crdt-state/src/key.rs", "// no HashMap here").is_empty());
        assert!(found("crdt-state/src/key.rs", "let my_env::a = InstantOf;").is_empty());
    }

    #[test]
    fn a_pure_crate_does_not_switch_the_lint_off() {
        let text = "#[allow(clippy::disallowed_types)]";
        assert_eq!(
            found("node/core/src/plan.rs", text),
            ["`allow(clippy::disallowed…)` in pure code"]
        );
    }
}
