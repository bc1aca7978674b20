//! A machine that was made of a member's disk: two machines with one key.

use std::process::{Command, Stdio};

use super::Machines;

impl Machines {
    /// A machine with a copy of the disk of another one.
    fn copy_of(&mut self, from: usize) -> usize {
        let copy = self.agents.len() + 1;
        let (from, to) = (self.path(&format!("data-{from}")), self.path(&format!("data-{copy}")));
        std::fs::create_dir(&to).expect("a folder");
        let files = std::fs::read_dir(&from).expect("a data directory").flatten();
        for file in files.filter(|file| file.path().is_file()) {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("copied");
        }
        let agent = self.agent(copy).args(["--join", &self.address(1)]).spawn();
        self.agents.push(agent.expect("the agent starts"));
        copy
    }

    fn is_quarantined(&self, number: usize) -> bool {
        let said = self.edgectl(number, &["node", "ls"]);
        said.code == Some(1) && said.err.contains("it is in quarantine")
    }
}

#[test]
fn a_copy_of_a_disk_is_quarantined_and_the_machine_itself_goes_on() {
    let mut machines = super::locking::fleet(168);
    let before = machines.programs(2);
    machines.kill(2);
    machines.restart(2);
    machines.until_it_answers(2);
    let copy = machines.copy_of(2);
    machines.until_it_answers(copy);
    machines.until("the copy is quarantined", || machines.is_quarantined(copy));
    machines.until("it is one node", || machines.nodes(1) == 3 && machines.nodes(2) == 3);
    assert_eq!(machines.programs(2), before);
    let said = machines.edgectl(copy, &["node", "ls"]).err;
    assert!(
        said.contains(&machines.address(2)) && said.contains("edgectl node rekey --force"),
        "{said}"
    );
    if let Some(info) = machines.docker(copy, &["info", "--format", "{{.Swarm.LocalNodeState}}"]) {
        assert_eq!(info.out.trim(), "error");
    }
    let tasks = machines.programs(copy);

    // It stays so, also after a restart, until it has a key of its own.
    machines.begin_again(copy);
    assert!(machines.is_quarantined(copy));
    assert_eq!(machines.programs(copy), tasks, "its tasks go on");
    let data = machines.path(&format!("data-{copy}")).display().to_string();
    let rekey = ["node", "rekey", "--force", "--data-dir", &data];
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
    let rekeyed = command.args(rekey).stdin(Stdio::null()).status();
    assert!(rekeyed.expect("edgectl runs").success());
    machines.until("the quarantine has ended", || {
        machines.edgectl(copy, &["node", "ls"]).code == Some(0)
    });
    let token = machines.edgectl(1, &["swarm", "join-token", "-q"]).out;
    let join = ["swarm", "join", "--token", token.trim(), &machines.address(1)];
    let said = machines.edgectl(copy, &join);
    assert_eq!(said.code, Some(0), "{said:?}");
    machines.until("it is a node of its own", || machines.nodes(2) == 4);
}
