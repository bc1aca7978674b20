//! Autolock: what nodes keep on their disks is sealed, and a node that starts is locked.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use runtime::run_dir::program_of;

use super::{Machines, Said};

/// It stands in for what nobody may read on a disk.
const VALUE: &str = "hunter2-in-a-variable";

impl Machines {
    fn has(&self, number: usize, name: &str) -> bool {
        self.path(&format!("data-{number}/{name}")).exists()
    }

    /// Its keys are sealed, and nothing of its records can be read.
    fn is_sealed(&self, number: usize) -> bool {
        let store = self.path(&format!("data-{number}/state.redb"));
        let store = std::fs::read(store).expect("a store");
        let shows = store.windows(VALUE.len()).any(|part| part == VALUE.as_bytes());
        let keys = ["node.key", "fleet.key", "fleet.key.old"];
        self.has(number, "keys.sealed") && !shows && !keys.iter().any(|key| self.has(number, key))
    }

    fn unlock(&self, number: usize, key: &str) -> Said {
        let mut unlock = Command::new(env!("CARGO_BIN_EXE_edgectl"))
            .args(["swarm", "unlock"])
            .env("EDGECTL_SOCKET", self.socket(number))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("edgectl runs");
        let mut typed = unlock.stdin.take().expect("a pipe");
        typed.write_all(key.as_bytes()).expect("typed");
        drop(typed);
        unlock.wait_with_output().expect("it ends").into()
    }

    fn unlocked(&self, number: usize, key: &str) {
        let said = self.unlock(number, key);
        assert_eq!(said.code, Some(0), "{said:?}");
    }

    pub(super) fn begin_again(&mut self, number: usize) {
        self.kill(number);
        self.restart(number);
        self.until_it_answers(number);
    }

    fn unlock_key(&self, number: usize) -> String {
        self.edgectl(number, &["swarm", "unlock-key", "-q"]).out.trim().to_owned()
    }

    /// The programs of its tasks.
    pub(super) fn programs(&self, number: usize) -> Vec<String> {
        let runs = std::fs::read_dir(self.path(&format!("data-{number}/runs")));
        let runs = runs.expect("runs").flatten().map(|run| run.path());
        runs.filter_map(|run| Some(format!("{:?}", program_of(&run)?))).collect()
    }

    /// `None`: there is no such client.
    pub(super) fn docker(&self, number: usize, words: &[&str]) -> Option<Said> {
        let host = format!("unix://{}", self.socket(number).display());
        let docker = Command::new("docker").args(["-H", &host]).args(words).output();
        docker.ok().map(Said::from)
    }
}

/// Three members of one fleet, and a service with a task on each of them.
pub(super) fn fleet(net: u8) -> Machines {
    let machines = Machines::start(net, 3);
    let token = machines.edgectl(1, &["swarm", "join-token", "-q"]).out.trim().to_owned();
    for number in [2, 3] {
        let through = machines.address(1);
        let said = machines.edgectl(number, &["swarm", "join", "--token", &token, &through]);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    machines.until("they are one fleet", || (1..=3).all(|number| machines.nodes(number) == 3));
    let variable = format!("PASSWORD={VALUE}");
    let create = ["service", "create", "--name", "till", "--mode", "global", "-e", &variable];
    let create = [&create[..], &["--runtime", "process", "sleep", "inf"]].concat();
    let said = machines.edgectl(1, &create);
    assert_eq!(said.code, Some(0), "{said:?}");
    machines
}

#[test]
fn a_node_is_locked_after_a_restart_and_its_task_goes_on() {
    let mut machines = fleet(166);
    assert!((1..=3).all(|number| !machines.is_sealed(number)), "nothing is sealed yet");
    assert_eq!(machines.edgectl(2, &["swarm", "unlock-key"]).code, Some(1));
    let said = machines.edgectl(1, &["swarm", "update", "--autolock"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    machines.until("all are sealed", || (1..=3).all(|number| machines.is_sealed(number)));
    let key = machines.unlock_key(2);
    assert!(said.out.contains(&key) && key.starts_with("EDGEKEY-1-"), "{said:?}");

    // A member of later seals, too.
    machines.agents.push(machines.agent(4).spawn().expect("the agent starts"));
    machines.until_it_answers(4);
    let token = machines.edgectl(2, &["swarm", "join-token", "-q"]).out;
    let said =
        machines.edgectl(4, &["swarm", "join", "--token", token.trim(), &machines.address(2)]);
    assert_eq!(said.code, Some(0), "{said:?}");
    machines.until("the new member is sealed", || machines.is_sealed(4));

    let before = machines.programs(3);
    assert!(!before.is_empty(), "it has a task");
    machines.begin_again(3);
    let refused = machines.edgectl(3, &["node", "ls"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("this node is locked"), "{refused:?}");
    assert!(refused.err.contains("edgectl swarm unlock"), "{refused:?}");
    assert_eq!(machines.programs(3), before);

    // The key is rotated while it is locked: the one from before opens it.
    let said = machines.edgectl(1, &["swarm", "unlock-key", "--rotate"]);
    assert!(said.err.contains("keep the key from before"), "{said:?}");
    let newer = machines.unlock_key(1);
    assert_ne!(newer, key);
    for (wrong, why) in [
        (newer.as_str(), "is not the key of this node"),
        (&key[..20], "an unlock key begins with EDGEKEY-1-"),
        ("", "no key on standard input"),
    ] {
        let refused = machines.unlock(3, wrong);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(why) && !refused.err.contains(&newer), "{refused:?}");
    }
    machines.unlocked(3, &key);
    machines.until("it is back", || machines.nodes(3) == 4 && machines.nodes(1) == 4);
    assert_eq!(machines.programs(3), before);
    machines.until("it has the newer key", || machines.unlock_key(3) == newer);
    assert!(machines.unlock(3, &newer).err.contains("not locked"));

    machines.begin_again(3);
    if let Some(info) = machines.docker(3, &["info", "--format", "{{.Swarm.LocalNodeState}}"]) {
        assert_eq!(info.out.trim(), "locked", "{info:?}");
        let refused = machines.docker(3, &["node", "ls"]).expect("a client");
        assert!(refused.err.contains("this node is locked"), "{refused:?}");
    }
    machines.unlocked(3, &newer);
    machines.until("it is back", || machines.nodes(3) == 4);
    assert_eq!(machines.programs(3), before);

    let said = machines.edgectl(2, &["swarm", "update", "--autolock=false"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let is_open = |number| machines.has(number, "node.key") && !machines.has(number, "keys.sealed");
    machines.until("nothing is sealed", || (1..=4).all(is_open));
    machines.begin_again(3);
    machines.until("it starts by itself", || machines.nodes(3) == 4);
}

#[test]
fn a_key_file_unlocks_its_node_alone() {
    let mut machines = fleet(167);
    let file = machines.path("stick");
    let agent_with_file = |machines: &Machines, number| {
        let mut agent = machines.agent(number);
        agent.env("EDGECTL_UNLOCK_KEY_FILE", &file).spawn().expect("the agent starts")
    };
    let write = |content: &[u8]| {
        std::fs::write(&file, content).expect("written");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&file, mode).expect("set");
    };
    write(&[7; 32]);
    machines.kill(2);
    machines.agents[1] = agent_with_file(&machines, 2);
    machines.until("it is back", || machines.nodes(2) == 3);
    let done = match machines.docker(1, &["swarm", "update", "--autolock=true"]) {
        Some(said) => said,
        None => machines.edgectl(1, &["swarm", "update", "--autolock"]),
    };
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains(&machines.unlock_key(1)), "{done:?}");
    machines.until("all are sealed", || (1..=3).all(|number| machines.is_sealed(number)));

    for number in [2, 3] {
        machines.kill(number);
    }
    // The stick comes later than the power.
    let stick = std::fs::read(&file).expect("a key");
    std::fs::remove_file(&file).expect("removed");
    for number in [2, 3] {
        machines.agents[number - 1] = agent_with_file(&machines, number);
        machines.until_it_answers(number);
    }
    assert!(machines.edgectl(2, &["node", "ls"]).err.contains("this node is locked"));
    write(&stick);
    machines.until("it starts by itself", || machines.nodes(2) == 2);
    let other = machines.edgectl(3, &["node", "ls"]);
    assert!(other.err.contains("this node is locked"), "it is the file of another: {other:?}");
    machines.until("it says so", || machines.log(3).contains("it is not the file of this node"));
    machines.unlocked(3, &machines.unlock_key(1));
    machines.until("both are back", || machines.nodes(3) == 3);
}
