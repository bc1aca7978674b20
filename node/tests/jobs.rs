//! Jobs with real agents: every slot ends well once, though a node dies in the middle, from our own
//! command line and from Docker's.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::path::PathBuf;
use std::process::{Command, Output};

use test_lab::TestLab;

/// What the tasks of a job have written: a line when a slot begins, and one when it ends.
struct Ledger(PathBuf);

impl Ledger {
    fn of(lab: &TestLab, job: &str) -> Ledger {
        Ledger(lab.dir.join(format!("{job}.ledger")))
    }

    /// The command of a task, for `sh -c`: it works for a second.
    fn command(&self) -> String {
        let file = self.0.display();
        format!("echo begin $SLOT >> {file}; sleep 1; echo end $SLOT >> {file}")
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The slots that ended, in their order.
    fn ended(&self) -> Vec<u32> {
        let lines = self.lines();
        let ended = lines.iter().filter_map(|line| line.strip_prefix("end ")?.parse().ok());
        let mut ended: Vec<u32> = ended.collect();
        ended.sort_unstable();
        ended
    }

    /// The most slots that had begun and not ended, of one reading of the file.
    fn most_at_a_time(&self) -> usize {
        let (mut now, mut most) = (0usize, 0);
        for line in self.lines() {
            match line.starts_with("begin") {
                true => now += 1,
                false => now = now.saturating_sub(1),
            }
            most = most.max(now);
        }
        most
    }
}

fn replicas(lab: &TestLab, job: &str) -> String {
    let filter = format!("name={job}");
    let ls = ["service", "ls", "--filter", &filter, "--format", "{{.Mode}} {{.Replicas}}"];
    lab.edgectl(1, &ls).trim().to_owned()
}

/// A node other than the first that runs a task of the job.
fn busy_node(lab: &TestLab, job: &str) -> Option<String> {
    let ps = lab.edgectl(1, &["service", "ps", "--format", "{{.Node}} {{.CurrentState}}", job]);
    let busy = ps.lines().filter_map(|line| line.split_once(' '));
    let mut busy = busy.filter(|(node, state)| *node != "n1" && state.starts_with("Running"));
    busy.next().map(|(node, _)| node.to_owned())
}

#[test]
fn a_job_completes_every_slot_once_though_a_node_dies_in_the_middle() {
    let lab = TestLab::up('j', 3);
    let ledger = Ledger::of(&lab, "sums");
    let command = ledger.command();
    let create = ["service", "create", "-d", "--name", "sums", "--mode", "replicated-job"];
    let job = ["--replicas", "5", "--max-concurrent", "2", "--env", "SLOT={{.Task.Slot}}"];
    let program = ["--runtime", "process", "--", "sh", "-c", &command];
    lab.edgectl(1, &[&create[..], &job, &program].concat());
    lab.until("two run", || replicas(&lab, "sums").starts_with("replicated job 2/2 ("));
    let waits = lab.edgectl(1, &["why", "sums.5"]);
    assert!(waits.contains("sums.5 waits until others have ended"), "{waits}");
    lab.until("a node is in the middle of a slot", || busy_node(&lab, "sums").is_some());
    let victim = busy_node(&lab, "sums").unwrap_or_else(|| "n2".to_owned());
    lab.succeed(&["kill", &victim]);
    let begun = ledger.lines().len();
    let done = "replicated job 0/2 (5/5 completed)";
    lab.until("all are complete", || replicas(&lab, "sums") == done);
    assert!(ledger.lines().len() > begun, "it went on without {victim}");
    assert_eq!(ledger.ended(), [1, 2, 3, 4, 5], "{:?}", ledger.lines());
    // What the killed node had begun does not end.
    assert!(ledger.most_at_a_time() <= 4, "{:?}", ledger.lines());
    lab.succeed(&["start", &victim]);
    let number = victim.trim_start_matches('n').parse().expect("a number");
    lab.until("the node knows what it missed", || {
        let ls = ["service", "ls", "--format", "{{.Replicas}}"];
        lab.try_edgectl(number, &ls).is_ok_and(|said| said.trim() == "0/2 (5/5 completed)")
    });
    let why = lab.edgectl(number, &["why", "sums.1"]);
    assert!(why.contains("sums.1 is complete: it ended with code 0"), "{why}");
    assert_eq!(ledger.ended(), [1, 2, 3, 4, 5], "nothing ran again");
    lab.edgectl(number, &["service", "update", "--force", "sums"]);
    assert_eq!(
        ledger.ended(),
        [1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
        "a new iteration, and it was waited for"
    );
}

#[test]
fn a_job_says_what_it_is_refused_for() {
    let lab = TestLab::up('k', 1);
    let create = ["service", "create", "-d", "--mode", "replicated-job", "--runtime", "process"];
    for (flags, said) in [
        (&["--update-order", "start-first"][..], "Jobs may not have an update config"),
        (&["--restart-condition", "any"], "use on-failure or none"),
        (&["--max-concurrent", "0"], "give 1 or more"),
    ] {
        let refused = lab.try_edgectl(1, &[&create[..], flags, &["--", "true"]].concat());
        let refused = refused.expect_err("refused");
        assert!(refused.contains(said), "{refused}");
    }
    assert_eq!(lab.edgectl(1, &["service", "ls", "-q"]), "");
}

/// Docker's own client.
struct Docker<'a>(&'a TestLab);

impl Docker<'_> {
    fn output(&self, words: &[&str]) -> Output {
        let host = format!("unix://{}", self.0.socket(1).display());
        let mut command = Command::new("docker");
        command.env("DOCKER_CONFIG", self.0.dir.join("docker")).args(["-H", &host]).args(words);
        command.output().expect("docker is there")
    }

    fn succeed(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {}: {said}", words.join(" "));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

#[test]
fn docker_s_own_client_creates_lists_and_waits_for_jobs() {
    if Command::new("docker").arg("--version").output().is_err() {
        eprintln!("SKIPPED without Docker's client");
        return;
    }
    let lab = TestLab::up('l', 2);
    let docker = Docker(&lab);
    let ledger = Ledger::of(&lab, "batch");
    let command = ledger.command();
    let create = ["service", "create", "--no-resolve-image", "--name", "batch", "--mode"];
    let job = ["replicated-job", "--replicas", "3", "--max-concurrent", "2"];
    let program = ["--env", "SLOT={{.Task.Slot}}", "process:sh", "-c", &command];
    // Without -d: it returns when the job is complete.
    let said = docker.succeed(&[&create[..], &job, &program].concat());
    assert!(said.ends_with("job complete"), "{said}");
    assert_eq!(ledger.ended(), [1, 2, 3]);
    assert!(ledger.most_at_a_time() <= 2, "{:?}", ledger.lines());
    let ls = ["service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}}"];
    assert_eq!(docker.succeed(&ls), "batch replicated job 0/2 (3/3 completed)");
    let ps = ["service", "ps", "--format", "{{.DesiredState}} {{.CurrentState}}", "batch"];
    let rows = docker.succeed(&ps);
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(rows.lines().all(|row| row.starts_with("Complete Complete ")), "{rows}");
    docker.succeed(&["service", "scale", "-d", "batch=4"]);
    lab.until("the new slot is complete", || ledger.ended() == [1, 2, 3, 4]);
    docker.succeed(&["service", "update", "-d", "--force", "batch"]);
    lab.until("all ran again", || ledger.ended() == [1, 1, 2, 2, 3, 3, 4, 4]);
    let everywhere = ["service", "create", "-d", "--name", "all", "--mode", "global-job"];
    docker.succeed(&[&everywhere[..], &["process:true"]].concat());
    lab.until("it is complete on both nodes", || {
        docker.succeed(&ls).contains("all global job 0/0 (2/2 completed)")
    });
}
