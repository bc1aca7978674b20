//! Join tokens on freshly installed machines: what each of them says to whoever types it, and what
//! becomes of one that two sides of a partition took.

use super::{Machines, Said};

impl Machines {
    /// The token of its own that these flags make.
    fn token(&self, number: usize, flags: &[&str]) -> String {
        let said = self.edgectl(number, &[&["swarm", "join-token", "-q"], flags].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out.trim().to_owned()
    }

    fn join(&self, number: usize, token: &str, through: usize) -> Said {
        self.edgectl(number, &["swarm", "join", "--token", token, &self.address(through)])
    }

    fn tokens(&self, number: usize) -> String {
        let format = "{{.ID}} {{.Role}} {{.State}} {{.Uses}} {{.Site}} {{.Expires}} {{.Joiners}}";
        self.edgectl(number, &["swarm", "join-token", "ls", "--format", format]).out
    }
}

fn refused(said: &Said, words: &str) {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(words) && said.out.is_empty(), "`{words}`: {said:?}");
}

fn joined(said: &Said) {
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_token_is_the_same_on_every_member_until_it_is_rotated() {
    let machines = Machines::start(134, 3);
    let first = machines.token(1, &["worker"]);
    assert!(first.starts_with("EDGE-2-") && first.len() == 63, "{first}");
    assert_ne!(first, machines.token(1, &["manager"]));
    joined(&machines.join(2, &first, 1));
    machines.until("it knows the token", || machines.token(2, &["worker"]) == first);

    let second = machines.token(2, &["--rotate", "worker"]);
    assert_ne!(first, second);
    machines.until("the other member heard of it", || machines.token(1, &["worker"]) == second);
    refused(&machines.join(3, &first, 1), "was replaced by another (on m2)");
    assert_eq!(machines.nodes(3), 1);
    joined(&machines.join(3, &second, 1));
}

#[test]
fn a_token_that_is_not_taken_says_why() {
    let machines = Machines::start(135, 4);
    let once = machines.token(1, &["--uses", "1", "--site", "shop-12"]);
    let cut = &once[..50];
    refused(
        &machines.join(2, cut, 1),
        "the token was cut short: it has 63 characters, this one has 50",
    );
    let digit = if once.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{digit}", &once[..62]);
    refused(&machines.join(2, &wrong, 1), "its checksum does not fit");
    refused(&machines.join(2, &machines.token(3, &["worker"]), 1), "this token is not known there");
    refused(&machines.join(2, &once, 9), "no answer from");

    joined(&machines.join(2, &once, 1));
    let site = ["node", "inspect", "m2", "--format", "{{.Spec.Labels.site}}"];
    machines.until("it has the token's site", || machines.edgectl(1, &site).out == "shop-12\n");
    refused(&machines.join(3, &once, 2), "is used up: m2 joined with it");

    let removed = machines.token(1, &["--uses", "5"]);
    let rm = machines.edgectl(1, &["swarm", "join-token", "rm", &removed]);
    assert_eq!((rm.code, rm.out.as_str()), (Some(0), format!("{}\n", &removed[7..23]).as_str()));
    refused(&machines.join(3, &removed, 1), "was revoked (on m1)");
    let short = machines.token(1, &["--expires-after", "1s"]);
    machines.until("it expired", || machines.tokens(1).contains("expired"));
    // Every member counts, and whoever is first says so.
    refused(&machines.join(3, &short, 1), "has expired (on m");
    assert_eq!(machines.nodes(3), 1, "nothing of it made the third a member");

    let listed = machines.tokens(1);
    for line in [
        format!("{} worker used up 1 of 1 shop-12 never m2", &once[7..23]),
        format!("{} worker revoked 0 of 5  never ", &removed[7..23]),
        format!("{} worker expired 0  1s ", &short[7..23]),
    ] {
        assert!(listed.contains(&line), "{line} is not in\n{listed}");
    }
    // What does not exist, and what is too short to mean one token.
    let rm = |what: &str| machines.edgectl(1, &["swarm", "join-token", "rm", what]);
    assert!(rm("0123456789abcdef").err.contains("no join token"), "{:?}", rm("0123456789abcdef"));
}

#[test]
fn a_token_survives_its_member_and_a_use_is_counted_after_a_restart() {
    let mut machines = Machines::start(136, 3);
    let twice = machines.token(1, &["--uses", "1"]);
    joined(&machines.join(2, &twice, 1));
    machines.kill(1);
    machines.restart(1);
    machines.until_it_answers(1);
    refused(&machines.join(3, &twice, 1), "is used up: m2 joined with it");
}

#[test]
fn a_token_that_both_sides_of_a_partition_took_is_told_with_what_to_type() {
    let mut machines = Machines::start(137, 4);
    joined(&machines.join(2, &machines.token(1, &["worker"]), 1));
    let once = machines.token(1, &["--uses", "1"]);
    machines.until("the other knows it", || machines.tokens(2).contains(&once[7..23]));
    machines.kill(1);
    joined(&machines.join(3, &once, 2));
    machines.kill(2);
    machines.kill(3);
    machines.restart(1);
    machines.until_it_answers(1);
    joined(&machines.join(4, &once, 1));
    for number in [2, 3] {
        machines.restart(number);
        machines.until_it_answers(number);
    }
    machines.until("they are one fleet", || (1..=4).all(|number| machines.nodes(number) == 4));
    for number in 1..=4 {
        machines.until("it is told", || {
            let conflicts = machines.edgectl(number, &["conflicts"]).out;
            let status = machines.edgectl(number, &["status"]).out;
            let names = |text: &str| {
                ["m3 (through m2)", "m4 (through m1)", "edgectl node rm --force NODE"]
                    .iter()
                    .all(|words| text.contains(words))
            };
            names(&conflicts) && names(&status)
        });
    }
    assert_eq!(machines.edgectl(1, &["node", "rm", "--force", "m4"]).code, Some(0));
    machines.until("it is settled", || {
        !machines.edgectl(2, &["status"]).out.contains("two sides of a partition")
    });
}

#[test]
fn a_stolen_box_is_refused_by_all_and_comes_back_as_a_new_node_only() {
    let mut machines = Machines::start(138, 3);
    let first = machines.token(1, &["worker"]);
    joined(&machines.join(2, &first, 1));
    joined(&machines.join(3, &first, 2));
    machines.until("they are one fleet", || (1..=3).all(|number| machines.nodes(number) == 3));
    let held = ["service", "create", "-d", "--name", "w", "--runtime", "process", "--mode"];
    joined(&machines.edgectl(1, &[&held[..], &["global", "sleep", "600"]].concat()));
    let said = machines.edgectl(1, &["node", "revoke", "m3"]);
    assert!(said.code == Some(0) && said.err.contains("refused from now on"), "{said:?}");
    assert_eq!(machines.ended(3), 5, "it runs, and hears that it was removed");
    for number in 1..=2 {
        machines.until("it is gone", || machines.nodes(number) == 2);
    }
    let log = machines.log(3);
    assert!(log.contains("edgectl node rekey"), "{log}");

    // With its old key it is told so wherever it comes; the tokens that it knew are none any more.
    let data = machines.path("data-3").display().to_string();
    machines.restart(3);
    assert_eq!(machines.ended(3), 5);
    let rekey = machines.edgectl(3, &["node", "rekey", "--data-dir", &data]);
    assert_eq!(rekey.code, Some(0), "{rekey:?}");
    machines.restart(3);
    machines.until_it_answers(3);
    machines.until("the other member heard of it", || machines.token(2, &["worker"]) != first);
    refused(&machines.join(3, &first, 2), "was replaced by another");
    joined(&machines.join(3, &machines.token(2, &["worker"]), 2));
    machines.until("it is a new node", || (1..=3).all(|number| machines.nodes(number) == 3));
}

#[test]
fn a_machine_from_an_image_joins_by_the_token_in_a_file_as_soon_as_that_is_taken() {
    let mut machines = Machines::start(139, 1);
    let once = machines.token(1, &["--uses", "1"]);
    for number in [2, 3] {
        let file = machines.path(&format!("token-{number}"));
        let mut agent = machines.agent(number);
        agent.env("EDGECTL_JOIN", machines.address(1)).env("EDGECTL_JOIN_TOKEN_FILE", &file);
        machines.agents.push(agent.spawn().expect("the agent starts"));
        machines.until_it_answers(number);
        machines.until("it says what it misses", || {
            machines.edgectl(number, &["doctor"]).out.contains("the token cannot be read")
        });
        std::fs::write(file, &once).expect("written");
    }
    machines.until("one of the two is used up", || {
        machines.nodes(1) == 2
            && [2, 3].iter().any(|number| {
                let said = |what: &[&str]| machines.edgectl(*number, what).out;
                said(&["doctor"]).contains("is used up") && said(&["status"]).contains("is used up")
            })
    });
    let late = if machines.nodes(2) == 1 { 2 } else { 3 };
    let another = machines.token(1, &["worker"]);
    std::fs::write(machines.path(&format!("token-{late}")), another).expect("written");
    machines.until("it joins", || (1..=3).all(|number| machines.nodes(number) == 3));
}
