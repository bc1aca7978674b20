//! A service that runs at most once, on real nodes: its program says where it lives, twenty times a
//! second, in a file that all nodes of this machine share. No two of them may ever take turns.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use test_lab::TestLab;

/// Says where it lives until it is killed.
const PROGRAM: &str = "trap '' TERM; while :; do echo \"$WHERE\" >> \"$DIARY\"; sleep 0.05; done";

struct Bill {
    lab: TestLab,
    diary: PathBuf,
}

impl Bill {
    fn create(lab: TestLab) -> Bill {
        let diary = lab.dir.join("diary");
        let diary_of = format!("DIARY={}", diary.display());
        let flags = ["service", "create", "-d", "--name", "bill", "--runtime", "process"];
        let partition = ["--partition", "at-most-one", "--anchor", "n1,n2,n3"];
        let times = ["--fence-after", "2s", "--stop-grace-period", "500ms"];
        let variables = ["--env", "WHERE={{.Node.Hostname}}", "--env", &diary_of];
        let program = ["--", "sh", "-c", PROGRAM];
        lab.edgectl(1, &[&flags[..], &partition, &times, &variables, &program].concat());
        Bill { lab, diary }
    }

    /// Where it lived, without repetitions in a row.
    fn lives(&self) -> Vec<String> {
        let diary = std::fs::read_to_string(&self.diary).unwrap_or_default();
        let mut lives: Vec<String> = diary.lines().map(str::to_owned).collect();
        lives.dedup();
        lives
    }

    /// Waits until it lives elsewhere than at first, and returns the numbers of both nodes.
    fn moved(&self, lives_before: usize) -> [u8; 2] {
        self.lab.until("it lives on another node", || self.lives().len() > lives_before);
        let lives = self.lives();
        let number = |name: &String| name.trim_start_matches('n').parse().expect("n1, n2 or n3");
        [number(&lives[lives_before - 1]), number(&lives[lives_before])]
    }

    fn signal(&self, node: u8, signal: &str) {
        let agent = self.lab.agents()[usize::from(node) - 1].to_string();
        let sent = Command::new("kill").args([signal, &agent]).status();
        assert!(sent.expect("kill is there").success(), "the agent of n{node} was not there");
    }

    fn all_agree(&self, what: &str) {
        let format = "{{.DesiredState}}, now {{.CurrentState}}";
        let ps = ["service", "ps", "bill", "--format", format];
        let running = |node: u8| {
            let listed = self.lab.try_edgectl(node, &ps).unwrap_or_default();
            listed.matches("Running, now Running").count() == 1
        };
        self.lab.until(what, || [1, 2, 3].into_iter().all(running));
    }
}

#[test]
fn it_never_runs_twice_when_an_agent_stands_still_and_when_a_node_is_cut_off() {
    let Some(lab) = TestLab::up('m', 3).with_namespaces() else { return };
    let bill = Bill::create(lab);
    bill.lab.until("it lives", || bill.lives().len() == 1);

    let holder = bill.lives()[0].trim_start_matches('n').parse().expect("n1, n2 or n3");
    bill.signal(holder, "-STOP");
    let [was, is] = bill.moved(1);
    assert_eq!(was, holder);
    bill.signal(holder, "-CONT");
    bill.all_agree("all know where it is, also who stood still");

    bill.lab.succeed(&["cut", &format!("n{is}")]);
    let [was, next] = bill.moved(2);
    assert_eq!(was, is);
    bill.lab.succeed(&["heal"]);
    bill.all_agree("all know where it is, also who was cut off");

    let lives = bill.lives();
    assert_eq!(lives.len(), 3, "one life after the other, and the heal moves nothing: {lives:?}");
    assert_eq!(lives[2], format!("n{next}"));
    let nodes: BTreeSet<&String> = lives.iter().collect();
    assert!(nodes.len() >= 2);
}
