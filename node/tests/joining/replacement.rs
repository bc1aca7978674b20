//! A machine in the place of one that is lost.

use super::{Machines, Said};

impl Machines {
    fn replace(&self, on: usize, words: &[&str]) -> Said {
        self.edgectl(on, &[&["node", "replace"], words].concat())
    }

    fn volumes(&self, number: usize) -> String {
        let format = "{{.Node}} {{.Name}} {{.State}}";
        self.edgectl(number, &["volume", "ls", "--format", format]).out
    }
}

/// Three members; the second has settings, volumes and a service that is bound to it.
fn with_a_node_to_lose() -> Machines {
    let machines = Machines::start(146, 3);
    let token = machines.edgectl(1, &["swarm", "join-token", "-q"]).out.trim().to_owned();
    for number in [2, 3] {
        let said =
            machines.edgectl(number, &["swarm", "join", "--token", &token, &machines.address(1)]);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let settings = ["--label-add", "site=shop-12", "--label-add", "zone=a", "m2"];
    let typed: [&[&str]; 4] = [
        &[&["node", "update", "--availability", "pause"], &settings[..]].concat(),
        &["node", "update", "--label-add", "zone=b", "--label-add", "disk=ssd", "m3"],
        &[
            "service",
            "create",
            "-d",
            "--name",
            "till",
            "--replicas",
            "0",
            "--runtime",
            "process",
            "--constraint",
            "node.hostname==m2",
            "sleep",
            "inf",
        ],
        &["node", "ls"],
    ];
    machines.until("all know each other", || machines.nodes(1) == 3 && machines.nodes(3) == 3);
    for words in typed {
        let said = machines.edgectl(1, words);
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
    }
    for (number, volume) in [(2, "pgdata"), (2, "both"), (3, "both")] {
        assert_eq!(machines.edgectl(number, &["volume", "create", volume]).code, Some(0));
    }
    machines.until("all know the volumes", || {
        [1, 3].iter().all(|number| machines.volumes(*number).lines().count() == 3)
    });
    machines
}

#[test]
fn a_new_machine_takes_the_place_of_one_that_is_lost() {
    let mut machines = with_a_node_to_lose();
    let refusals = [
        (["m2", "--with", "m3"], "node m2 is reachable"),
        (["m2", "--with", "m2"], "cannot be replaced with itself"),
        (["m2", "--with", "m9"], "m9"),
    ];
    for (words, why) in refusals {
        let said = machines.replace(3, &words);
        assert!(said.code == Some(1) && said.err.contains(why), "{said:?}");
    }
    machines.kill(2);
    let status = ["node", "ls", "--format", "{{.Hostname}} {{.Status}}"];
    machines.until("it is missed", || {
        [1, 3].iter().all(|on| machines.edgectl(*on, &status).out.contains("m2 Unreachable"))
    });
    let elsewhere = machines.replace(1, &["m2", "--with", "m3"]);
    assert_eq!(elsewhere.code, Some(1), "{elsewhere:?}");
    assert!(elsewhere.err.contains("m2 holds volumes that m3 lacks: pgdata"), "{elsewhere:?}");
    assert!(elsewhere.err.contains("on m3: edgectl node replace m2 --with m3"), "{elsewhere:?}");
    let silent = machines.replace(1, &["m3", "--with", "m2"]);
    assert!(silent.err.contains("node m2 is not heard"), "{silent:?}");

    let done = machines.replace(3, &["m2", "--with", "m3"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "m3\n"), "{done:?}");
    assert!(done.err.contains("m3 has the volumes of m2 now, empty: pgdata"), "{done:?}");
    assert!(done.err.contains("edgectl node update --availability active m3"), "{done:?}");
    assert!(done.err.contains("the service till has a constraint that names m2"), "{done:?}");
    let set =
        "{{.Spec.Availability}} {{.Spec.Labels.site}} {{.Spec.Labels.zone}} {{.Spec.Labels.disk}}";
    let inspect = ["node", "inspect", "m3", "--format", set];
    machines.until("the others heard it", || {
        machines.edgectl(1, &inspect).out == "pause shop-12 a ssd\n"
            && !machines.edgectl(1, &["node", "ls"]).out.contains("m2")
    });
    assert_eq!(machines.volumes(1), "m3 both ok\nm3 pgdata ok\n");
    let audit = machines.edgectl(3, &["events", "--audit", "--since", "5m", "--until", "0s"]);
    assert!(audit.out.contains("node replace m2 --with m3"), "{audit:?}");
    machines.restart(2);
    assert_eq!(machines.ended(2), 5, "the old one was removed");
}
