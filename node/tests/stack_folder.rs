//! A folder of Compose files that every node has: `edgectl stack sync` on three nodes, with copies that
//! come late, in a partition, and by agents that watch it.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::path::PathBuf;
use std::process::Output;

use test_lab::TestLab;

const SHOP: &str = "
services:
  web:
    image: process:sleep
    command: ['1000']
    deploy: {replicas: 2}
  each:
    image: process:sleep
    command: ['1001']
    deploy: {mode: global}
";

const MORE: &str = "  more: {image: 'process:sleep', command: ['2000'], deploy: {replicas: 3}}\n";

struct Fleet {
    lab: TestLab,
}

impl Fleet {
    fn up(letter: char) -> Fleet {
        let lab = TestLab::up(letter, 3);
        for node in 1..=3 {
            std::fs::create_dir(lab.dir.join(format!("files{node}"))).expect("a new folder");
        }
        Fleet { lab }
    }

    fn folder(&self, node: u8) -> PathBuf {
        self.lab.dir.join(format!("files{node}"))
    }

    fn write(&self, nodes: &[u8], text: &str) {
        for node in nodes {
            std::fs::write(self.folder(*node).join("shop.yaml"), text).expect("writable");
        }
    }

    fn sync_output(&self, node: u8) -> Output {
        let state = self.lab.dir.join(format!("state{node}.json")).display().to_string();
        let folder = self.folder(node).display().to_string();
        self.lab
            .edgectl_output(node, &["stack", "sync", "--wait", "3s", "--state", &state, &folder])
    }

    /// What the node says when it looks at its folder.
    fn sync(&self, node: u8) -> String {
        let output = self.sync_output(node);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    /// The arguments of a service, as a node knows them.
    fn args(&self, node: u8, service: &str) -> String {
        let format = "{{.Spec.TaskTemplate.ContainerSpec.Args}}";
        let inspect = ["service", "inspect", "--format", format, service];
        self.lab.try_edgectl(node, &inspect).unwrap_or_default().trim().to_owned()
    }

    fn ids(&self, node: u8) -> Vec<String> {
        let listed = self.lab.edgectl(node, &["service", "ls", "--no-trunc", "--quiet"]);
        listed.lines().map(str::to_owned).collect()
    }

    fn until_all_have(&self, service: &str, args: &str) {
        self.lab
            .until("every node has it", || (1..=3).all(|node| self.args(node, service) == args));
    }
}

#[test]
fn the_first_node_makes_a_version_and_a_late_copy_changes_nothing_back() {
    let fleet = Fleet::up('d');
    fleet.write(&[1, 2, 3], SHOP);
    let made = fleet.sync(1);
    assert!(made.contains("turn 1") && made.contains("Creating service shop_web"), "{made}");
    fleet.until_all_have("shop_web", "[1000]");
    assert_eq!((fleet.sync(2), fleet.sync(3)), (String::new(), String::new()));
    let ids = fleet.ids(1);

    fleet.write(&[1], &SHOP.replace("1000", "1002"));
    let changed = fleet.sync(1);
    assert!(changed.contains("Updating service shop_web"), "{changed}");
    assert!(changed.contains("shop_each is as the file says"), "{changed}");
    fleet.until_all_have("shop_web", "[1002]");
    let late = fleet.sync(3);
    assert!(late.contains("this copy of its file is late"), "{late}");
    std::fs::remove_file(fleet.lab.dir.join("state3.json")).expect("it is there");
    let wiped = fleet.sync(3);
    assert!(
        wiped.contains("this copy of its file is late"),
        "also of a node that was wiped: {wiped}"
    );
    assert_eq!(fleet.args(3, "shop_web"), "[1002]");

    // What operators change meanwhile stays, also when the others get the file.
    fleet.lab.edgectl(2, &["service", "scale", "--detach", "shop_web=1"]);
    fleet.write(&[2, 3], &SHOP.replace("1000", "1002"));
    assert_eq!((fleet.sync(2), fleet.sync(3)), (String::new(), String::new()));
    let scale =
        ["service", "inspect", "--format", "{{.Spec.Mode.Replicated.Replicas}}", "shop_web"];
    assert_eq!(fleet.lab.edgectl(2, &scale).trim(), "1");

    // Back to what it was: every node was up to date.
    fleet.write(&[3], SHOP);
    assert!(fleet.sync(3).contains("turn 3"));
    fleet.until_all_have("shop_web", "[1000]");
    fleet.write(&[1, 2], SHOP);
    assert_eq!((fleet.sync(1), fleet.sync(2)), (String::new(), String::new()));
    assert_eq!(fleet.ids(3), ids, "none was created again");
}

#[test]
fn both_sides_of_a_partition_make_one_stack() {
    let fleet = Fleet::up('e');
    if !fleet.lab.has_namespaces() {
        eprintln!("SKIPPED without root: network namespaces");
        return;
    }
    fleet.lab.succeed(&["cut", "n3"]);
    fleet.write(&[1, 2, 3], SHOP);
    for node in [1, 3] {
        assert!(fleet.sync(node).contains("Creating service shop_web"), "on each side");
    }
    assert_eq!(fleet.ids(1), fleet.ids(3), "the same wherever they are made");
    fleet.lab.succeed(&["heal"]);
    fleet.lab.until("both sides have one", || {
        (1..=3).all(|node| {
            let listed =
                fleet.lab.edgectl(node, &["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]);
            listed == "shop_each 3/3\nshop_web 2/2\n"
        })
    });
    assert_eq!(fleet.lab.edgectl(2, &["conflicts", "--format", "{{.Name}} {{.Facet}}"]), "");
    assert_eq!(fleet.sync(2), "", "nothing is left to do");

    // Different versions: afterwards the fleet is as one of them says, as a whole.
    fleet.lab.succeed(&["cut", "n3"]);
    fleet.write(&[1, 2], &format!("{}{MORE}", SHOP.replace("1000", "1012")));
    fleet.write(&[3], &format!("{}{MORE}", SHOP.replace("1001", "1013")));
    for node in [1, 3] {
        assert!(fleet.sync(node).contains("turn 2"), "on each side");
    }
    fleet.lab.succeed(&["heal"]);
    let whole = [("[1012]", "[1001]"), ("[1000]", "[1013]")];
    let is = |node| (fleet.args(node, "shop_web"), fleet.args(node, "shop_each"));
    fleet.lab.until("one of them made it again, and every node has that", || {
        let said = [1, 2, 3].map(|node| fleet.sync(node));
        let late = said.iter().filter(|said| said.contains("this copy of its file is late"));
        let (late, (web, each)) = (late.count(), is(1));
        (1..3).contains(&late) && whole.contains(&(&web, &each)) && is(2) == is(1) && is(3) == is(1)
    });
    let listed = fleet.lab.edgectl(1, &["service", "ls", "--format", "{{.Name}}"]);
    assert_eq!(listed, "shop_each\nshop_more\nshop_web\n");
}

#[test]
fn agents_watch_the_folder_and_a_file_with_a_fault_changes_nothing() {
    let fleet = Fleet::up('f');
    fleet.write(&[1], SHOP);
    let config = fleet.lab.dir.join("edge.toml");
    let mut text = std::fs::read_to_string(&config).expect("the lab's configuration");
    text.push_str(&format!("stacks = \"{}\"\n", fleet.folder(1).display()));
    std::fs::write(&config, text).expect("writable");
    for node in ["n1", "n2", "n3"] {
        fleet.lab.succeed(&["kill", node]);
        fleet.lab.succeed(&["start", node]);
    }
    fleet.until_all_have("shop_web", "[1000]");
    let ids = fleet.ids(1);
    assert_eq!(ids.len(), 2, "three agents made one stack");
    fleet.write(&[1], &SHOP.replace("1000", "1002"));
    fleet.until_all_have("shop_web", "[1002]");

    std::fs::write(fleet.folder(1).join("bad.yaml"), "services: [").expect("writable");
    fleet.write(&[1], &SHOP.replace("1000", "1003"));
    fleet.until_all_have("shop_web", "[1003]");
    let logs = |node: &str, words: &str| {
        let log = std::fs::read_to_string(fleet.lab.dir.join(node).join("agent.log"));
        log.expect("a log").contains(words)
    };
    fleet.lab.until("its fault is told", || logs("n2", "bad.yaml:"));

    std::fs::remove_file(fleet.folder(1).join("bad.yaml")).expect("it is there");
    std::fs::remove_file(fleet.folder(1).join("shop.yaml")).expect("it is there");
    fleet
        .lab
        .until("it says that services stay", || logs("n3", "its file is gone, its services stay"));
    assert_eq!(fleet.ids(1), ids);
}

#[test]
fn what_cannot_be_read_is_told() {
    let fleet = Fleet::up('i');
    fleet.write(&[1], SHOP);
    let said = |output: Output| String::from_utf8_lossy(&output.stderr).into_owned();
    std::fs::write(fleet.lab.dir.join("state1.json"), "{").expect("writable");
    assert!(said(fleet.sync_output(1)).contains("state1.json is damaged"));
    std::fs::remove_file(fleet.lab.dir.join("state1.json")).expect("it is there");
    std::fs::write(fleet.folder(1).join("again.yml"), format!("name: shop{SHOP}"))
        .expect("writable");
    assert!(said(fleet.sync_output(1)).contains("two files are the stack shop"));
    std::fs::remove_dir_all(fleet.folder(1)).expect("it is there");
    assert!(said(fleet.sync_output(1)).contains("cannot read"));
    assert!(fleet.ids(1).is_empty(), "nothing was made");
}
