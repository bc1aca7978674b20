//! `docker run` and its relatives, through Docker's own client: containers of one node.

#[path = "local/files.rs"]
mod files;
#[path = "local/foreground.rs"]
mod foreground;
#[path = "local/lifetime.rs"]
mod lifetime;
#[path = "local/networked.rs"]
mod networked;
#[path = "local/refused.rs"]
mod refused;

use std::process::Output;

use serde_json::Value;

use super::fleet::Fleet;
use super::test_lab::busybox_image::{self, IMAGE};

/// Agents with an image, asked by Docker's own client.
struct Local {
    fleet: Fleet,
}

impl Local {
    /// `None` where containers cannot be made.
    fn start(net: u8, count: usize) -> Option<Local> {
        if !nix::unistd::geteuid().is_root() || !super::has_docker() {
            eprintln!("SKIPPED without root or Docker's client: containers of one node");
            return None;
        }
        let local = Local { fleet: Fleet::start(net, count) };
        let dir = tempfile::tempdir().expect("a folder");
        let tar = dir.path().join("root.tar");
        busybox_image::write(&tar);
        for number in 1..=count {
            let tar = tar.to_str().expect("UTF-8");
            let done = local.fleet.docker(number, &["import", "-c", "CMD sh", tar, IMAGE]);
            assert!(done.status.success(), "{}", text(&done.stderr));
        }
        Some(local)
    }

    /// Docker's client, whatever comes of it.
    fn try_docker(&self, words: &[&str]) -> Output {
        self.fleet.docker(1, words)
    }

    /// What it prints when all is well.
    fn docker(&self, words: &[&str]) -> String {
        let done = self.try_docker(words);
        assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
        text(&done.stdout).trim_end().to_owned()
    }

    /// What it says when it is refused, and its exit code.
    fn refusal(&self, words: &[&str]) -> (String, i32) {
        let done = self.try_docker(words);
        assert!(!done.status.success(), "{words:?}: {}", text(&done.stdout));
        (text(&done.stderr), done.status.code().expect("it ended"))
    }

    /// A field of a container.
    fn of(&self, container: &str, field: &str) -> String {
        self.docker(&["inspect", "--type", "container", "--format", field, container])
    }

    fn status(&self, container: &str) -> String {
        self.of(container, "{{.State.Status}}")
    }

    fn until_status(&self, container: &str, wanted: &str) {
        self.fleet.until(wanted, || self.status(container) == wanted);
    }

    /// The folders of runs on the first agent's node.
    fn runs(&self) -> Vec<String> {
        let runs = self.fleet.dir().join("data-1/runs");
        let entries = std::fs::read_dir(runs).expect("readable").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains('.')).collect()
    }

    fn list(&self, path: &str) -> Value {
        self.fleet.get(1, path).json()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
