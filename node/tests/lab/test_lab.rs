//! A lab that ends with its test.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A lab of this test alone, removed when the test ends.
pub struct TestLab {
    pub name: String,
    pub dir: PathBuf,
}

impl TestLab {
    #[allow(dead_code, reason = "not every test that has this file starts plain labs")]
    pub fn up(letter: char, nodes: u8) -> TestLab {
        TestLab::up_with(letter, nodes, &[])
    }

    pub fn up_with(letter: char, nodes: u8, flags: &[&str]) -> TestLab {
        let name = format!("{letter}{}", std::process::id());
        let dir = PathBuf::from(format!("/tmp/edgelab-{name}"));
        let lab = TestLab { name, dir };
        let up = lab.run(&[&["up", "-n", &nodes.to_string()], flags].concat());
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        lab
    }

    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        let (before, after) = match words.iter().position(|word| *word == "--") {
            Some(at) => words.split_at(at),
            None => (words, &[][..]),
        };
        command.arg("lab").args(before).args(["--name", &self.name]).args(after);
        command.output().expect("edgectl was built for this test")
    }

    pub fn succeed(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lab {}: {said}", words.join(" "));
        String::from_utf8(output.stdout).expect("the output is text")
    }

    pub fn state(&self) -> Value {
        let text =
            std::fs::read_to_string(self.dir.join("lab.json")).expect("a lab has a state file");
        serde_json::from_str(&text).expect("the state is JSON")
    }

    pub fn has_namespaces(&self) -> bool {
        self.state()["links"] == "namespaces"
    }

    /// The agents' process ids, in the order of the nodes.
    pub fn agents(&self) -> Vec<u64> {
        let nodes = self.state()["nodes"].as_array().expect("a list of nodes").clone();
        nodes.iter().map(|node| node["process"]["pid"].as_u64().expect("a process id")).collect()
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}
