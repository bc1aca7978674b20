//! Another key of the fleet: who is let in afterwards, and who is not.

use super::Machines;

impl Machines {
    fn fleet_key(&self, number: usize) -> String {
        std::fs::read_to_string(self.path(&format!("data-{number}/fleet.key"))).expect("a key")
    }

    fn root_of_trust(&self, number: usize) -> String {
        let said = self.edgectl(number, &["swarm", "ca"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out
    }

    fn joined(&self, number: usize, through: usize) {
        let token = self.edgectl(through, &["swarm", "join-token", "-q"]).out;
        let through = self.address(through);
        let said = self.edgectl(number, &["swarm", "join", "--token", token.trim(), &through]);
        assert_eq!(said.code, Some(0), "{said:?}");
    }

    /// A machine that is installed now, with the files of a data directory.
    fn install(&mut self, number: usize, files: &[(&str, &str)]) {
        let data = self.path(&format!("data-{number}"));
        std::fs::create_dir_all(&data).expect("made");
        for (name, text) in files {
            std::fs::write(data.join(name), text).expect("written");
        }
        let agent = self.agent(number).spawn().expect("the agent starts");
        self.agents.push(agent);
        self.until_it_answers(number);
    }
}

/// Docker's client waits until all nodes have the new root of trust.
fn rotated_by_docker(machines: &Machines, number: usize) {
    let (host, before) = (machines.socket(number), machines.root_of_trust(number));
    let docker = std::process::Command::new("docker")
        .args(["-H", &format!("unix://{}", host.display()), "swarm", "ca", "--rotate", "--quiet"])
        .output();
    match docker {
        Ok(done) => assert!(done.status.success(), "{done:?}"),
        // Where there is no such client.
        Err(_) => assert_eq!(machines.edgectl(number, &["swarm", "ca", "--rotate"]).code, Some(0)),
    }
    assert_ne!(machines.root_of_trust(number), before);
}

#[test]
fn a_key_that_was_replaced_lets_nobody_in_and_locks_no_member_out() {
    let mut machines = Machines::start(145, 3);
    machines.joined(2, 1);
    machines.joined(3, 2);
    machines.until("they are one fleet", || (1..=3).all(|number| machines.nodes(number) == 3));
    let (key, trust) = (machines.fleet_key(1), machines.root_of_trust(1));
    machines.kill(3);

    let said = machines.edgectl(1, &["swarm", "ca", "--rotate"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("the fleet has another key, for 3 nodes"), "{said:?}");
    assert_ne!(said.out, trust);
    machines.until("the other member has it", || {
        machines.root_of_trust(2) == said.out && machines.fleet_key(2) != key
    });
    assert_eq!(machines.fleet_key(1), machines.fleet_key(2));

    // Who took the key with it, under another name.
    machines.install(4, &[("fleet.key", &key)]);
    for member in [1, 2] {
        let refused = machines.edgectl(4, &["swarm", "join", &machines.address(member)]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("it has another fleet key"), "{refused:?}");
    }
    // Who slept meanwhile is known by its own key, and is given the key.
    machines.restart(3);
    machines.until("it is back", || (1..=3).all(|number| machines.nodes(number) == 3));
    machines.until("it has the key", || machines.fleet_key(3) == machines.fleet_key(1));
    // Whoever shows a token gets in, through any of them.
    machines.install(5, &[]);
    machines.joined(5, 3);
    machines
        .until("it is there", || [1, 2, 3, 5].iter().all(|number| machines.nodes(*number) == 4));
    // All start again, and the one that joined last is given the next key too.
    for number in [1, 2, 3] {
        machines.kill(number);
        machines.restart(number);
        machines.until_it_answers(number);
    }
    machines.until("all are back", || [1, 2, 3, 5].iter().all(|no| machines.nodes(*no) == 4));
    rotated_by_docker(&machines, 5);
    machines.until("all have it", || {
        let key = machines.fleet_key(5);
        (1..=3).all(|number| machines.fleet_key(number) == key)
    });
}
