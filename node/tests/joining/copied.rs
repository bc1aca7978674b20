//! Two machines from one image that has the key of a node in it.

use super::Machines;

#[test]
fn two_machines_with_one_key_are_named_by_the_others_with_what_to_type() {
    let mut machines = Machines::start(147, 3);
    let token = machines.edgectl(1, &["swarm", "join-token", "-q"]).out.trim().to_owned();
    let join = |machines: &Machines, number| {
        let join = ["swarm", "join", "--token", &token, &machines.address(1)];
        let said = machines.edgectl(number, &join);
        assert_eq!(said.code, Some(0), "{said:?}");
    };
    join(&machines, 2);
    machines.kill(2);
    machines.kill(3);
    let [from, to] = [2, 3].map(|number| machines.path(&format!("data-{number}")));
    std::fs::remove_dir_all(&to).expect("removed");
    let copied = std::process::Command::new("cp").arg("-a").arg(&from).arg(&to).status();
    assert!(copied.expect("cp is there").success());
    machines.restart(2);
    machines.restart(3);
    [2, 3].iter().for_each(|number| machines.until_it_answers(*number));

    let [one, other] = [2, 3].map(|number| machines.address(number));
    let both = format!("at {one} and {other}");
    for words in [&["doctor"][..], &["status"], &["conflicts"]] {
        machines.until("it is told", || {
            let said = machines.edgectl(1, words);
            let said = said.out + &said.err;
            said.contains("two machines have the key of node m") && said.contains(&both)
        });
    }
    let moves = |machines: &Machines| machines.log(1).matches(": moved").count();
    let before = moves(&machines);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(moves(&machines), before, "it is told once, and not with each packet");

    machines.kill(3);
    let data = to.display().to_string();
    let rekey = machines.edgectl(3, &["node", "rekey", "--force", "--data-dir", &data]);
    assert_eq!(rekey.code, Some(0), "{rekey:?}");
    machines.restart(3);
    machines.until_it_answers(3);
    join(&machines, 3);
    machines.until("there are three nodes", || machines.nodes(1) == 3 && machines.nodes(3) == 3);
}
