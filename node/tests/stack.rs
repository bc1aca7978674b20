//! `edgectl stack deploy` on three nodes: a voting app with five services and two networks, again
//! while one of the nodes is cut off, and taken down from another node.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::collections::BTreeSet;
use std::path::PathBuf;

use test_lab::{DEADLINE, TestLab, until_or_say};

const VOTE: &str = r#"
x-tools: &tools
  image: registry.invalid/tools:1
  command: sleep 1000
  stop_grace_period: 1s
services:
  vote:
    <<: *tools
    command: [sh, -c, "read line < /etc/greeting; echo option $$OPTION release $$RELEASE $$line; exec sleep 1000"]
    configs: [{source: greeting, target: /etc/greeting, mode: 0440}]
    environment: {OPTION: 0440, RELEASE: "${RELEASE:-1.10}"}
    ports: ["5000:80"]
    networks: [front]
    deploy: {replicas: 2, update_config: {order: start-first, monitor: 500ms}}
  result:
    <<: *tools
    ports: [{target: 80, published: 5001}]
    networks: [front, back]
  redis:
    <<: *tools
    healthcheck: {test: "true", interval: 1s}
    networks: [back]
  db:
    <<: *tools
    volumes: ["data:/data"]
    networks: {back: {aliases: [postgres]}}
    x-edge: {partition: {policy: stay}}
  worker:
    <<: *tools
    networks: [back]
    depends_on: {db: {condition: service_started}, redis: {condition: service_healthy}}
networks: {front: , back: {internal: true}}
volumes: {data: }
configs: {greeting: {content: "hello ${RELEASE:-1.10}\n"}}
"#;

struct Fleet {
    lab: TestLab,
    file: PathBuf,
}

impl Fleet {
    fn up() -> Option<Fleet> {
        let lab = TestLab::up('n', 3).with_namespaces()?;
        lab.import_image();
        let file = lab.dir.join("vote.yaml");
        let fleet = Fleet { lab, file };
        fleet.write(VOTE);
        Some(fleet)
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.file, text).expect("writable");
    }

    /// What a deployment says, on both streams.
    fn deploy(&self, node: u8, flags: &[&str]) -> String {
        let file = self.file.display().to_string();
        let deploy = ["stack", "deploy", "-c", &file];
        let words = [&deploy[..], flags, &["vote"]].concat();
        let output = self.lab.edgectl_output(node, &words);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    /// The ids of the tasks that run, with their names. What an unreachable node said last is no news.
    fn running(&self, node: u8) -> BTreeSet<String> {
        let format = "{{.ID}} {{.Name}} {{.DesiredState}} {{.CurrentState}}";
        let ps = ["stack", "ps", "--format", format, "vote"];
        let listed = self.lab.try_edgectl(node, &ps).unwrap_or_default();
        let is_running =
            |line: &&str| line.contains(" Running Running ") && !line.contains("(unreachable");
        let of_task = |line: &str| line.split(" Running ").next().unwrap_or(line).to_owned();
        listed.lines().filter(is_running).map(of_task).collect()
    }

    /// What a node says of the stack, to be told with a failure.
    fn state(&self, node: u8) -> String {
        let asked =
            [&["stack", "ps", "--no-trunc", "vote"][..], &["why", "vote_vote"], &["node", "ls"]];
        let say = |words: &&[&str]| self.lab.try_edgectl(node, words).unwrap_or_default();
        asked.iter().map(say).collect::<Vec<_>>().join("\n")
    }

    /// What the tasks wrote; those of nodes that are not reached are left out, and that is an error.
    fn logs(&self, node: u8) -> String {
        let output = self.lab.edgectl_output(node, &["service", "logs", "vote_vote"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn a_stack_is_deployed_from_any_node_also_while_one_is_cut_off() {
    let Some(fleet) = Fleet::up() else { return };
    let tried = fleet.deploy(1, &["--dry-run"]);
    assert_eq!(tried.matches("would be created").count(), 8, "{tried}");
    assert!(fleet.running(1).is_empty(), "a dry run changes nothing");

    let created = fleet.deploy(1, &["--detach=false"]);
    assert_eq!(created.matches("Creating service vote_").count(), 5, "{created}");
    assert_eq!(fleet.running(1).len(), 6, "it waits until all run: {created}");
    fleet.lab.until("it says what is written", || {
        fleet.logs(2).matches("option 0440 release 1.10 hello 1.10").count() == 2
    });
    let tasks = fleet.running(1);
    fleet.lab.until("another node sees them all", || fleet.running(3) == tasks);
    let again = fleet.deploy(3, &[]);
    assert_eq!(again.matches("is as the file says").count(), 5, "{again}");
    assert_eq!(fleet.running(3), tasks, "nothing restarts");

    fleet.lab.succeed(&["cut", "n3"]);
    fleet.write(&VOTE.replace("RELEASE:-1.10", "RELEASE:-2.0"));
    let cut = fleet.deploy(3, &[]);
    assert_eq!(cut.matches("Updating service vote_").count(), 1, "{cut}");
    let say = || format!("the new release on the node that is alone: {}", fleet.state(3));
    until_or_say(DEADLINE, say, || fleet.logs(3).contains("release 2.0 hello 2.0"));
    fleet.lab.succeed(&["heal"]);
    fleet.lab.until("all run the new release", || {
        let all = fleet.running(1);
        let is_new = |task: &String| task.contains(" vote_vote.") && !tasks.contains(task);
        all.iter().filter(|task| is_new(task)).count() == 2
            && all.len() == 6
            && [2, 3].into_iter().all(|node| fleet.running(node) == all)
    });

    let (services, rest) = VOTE.split_once("  worker:").expect("it is there");
    let (_, others) = rest.split_once("networks: {front").expect("they follow");
    fleet.write(&format!("{services}networks: {{front{others}"));
    let pruned = fleet.deploy(2, &["--prune"]);
    assert!(pruned.contains("Removing service vote_worker"), "{pruned}");
    fleet.lab.edgectl(1, &["stack", "rm", "--detach=false", "vote"]);
    fleet.lab.until("nothing is left", || {
        let networks = fleet.lab.edgectl(2, &["network", "ls"]);
        fleet.running(2).is_empty() && !networks.contains("vote_")
    });
}

#[test]
fn a_file_with_faults_changes_nothing_and_all_of_them_are_told() {
    let lab = TestLab::up('y', 1);
    let file = lab.dir.join("bad.yaml");
    std::fs::write(
        &file,
        "services:\n  web: {image: process:sh, tty: maybe}\n  db: {image: a, ports: ['127.0.0.1:1:1']}\n",
    )
    .expect("writable");
    let path = file.display().to_string();
    let output = lab.edgectl_output(1, &["stack", "deploy", "-c", &path, "bad"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("2 faults in the files"), "{said}");
    assert!(said.contains(&format!("{path}:2:33: `services.web.tty`")), "{said}");
    assert!(said.contains(&format!("{path}:3:26: `services.db.ports`")), "{said}");
    assert_eq!(lab.edgectl(1, &["service", "ls", "-q"]), "");
    let missing = lab.edgectl_output(1, &["stack", "deploy", "-c", "/nowhere.yaml", "bad"]);
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(said.contains("cannot read /nowhere.yaml"), "{said}");
}

/// As Docker's client takes it. The database is not on the node that is cut off: it would wait there with
/// its volume.
const DOCKER_VOTE: &str = r#"
version: "3.8"
x-tools: &tools
  image: registry.invalid/tools:1
  command: sleep 1000
  stop_grace_period: 1s
services:
  vote:
    <<: *tools
    environment: {RELEASE: "${RELEASE:-1}"}
    ports: ["5000:80"]
    networks: [front]
    deploy: {replicas: 2, update_config: {order: start-first, monitor: 500ms}}
  result:
    <<: *tools
    ports: [{target: 80, published: 5001}]
    networks: [front, back]
  redis:
    <<: *tools
    networks: [back]
  db:
    <<: *tools
    volumes: ["data:/data"]
    networks: {back: {aliases: [postgres]}}
    deploy: {placement: {constraints: [node.hostname == n1]}}
  worker:
    <<: *tools
    networks: [back]
    depends_on: [db, redis]
networks: {front: , back: }
volumes: {data: }
"#;

#[test]
fn docker_s_own_client_deploys_a_stack_also_while_a_node_is_cut_off() {
    let Some(fleet) = Fleet::up() else { return };
    fleet.write(DOCKER_VOTE);
    let docker = |node: u8, release: &str, words: &[&str]| {
        let mut command = std::process::Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", fleet.lab.socket(node).display()));
        command.env("DOCKER_CONFIG", &fleet.lab.dir).env("RELEASE", release).args(words);
        let output = command.output().expect("Docker's client is installed");
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into();
        assert!(output.status.success(), "{words:?}: {said}");
        said
    };
    let file = fleet.file.display().to_string();
    let deploy = ["stack", "deploy", "--detach", "--resolve-image", "never", "-c", &file, "vote"];
    let counts = ["stack", "services", "--format", "{{.Name}} {{.Replicas}}", "vote"];
    let whole = "vote_db 1/1\nvote_redis 1/1\nvote_result 1/1\nvote_vote 2/2\nvote_worker 1/1\n";
    let all_run = |node: u8| {
        let listed: String = docker(node, "1", &counts);
        let mut lines: Vec<&str> = listed.lines().collect();
        lines.sort_unstable();
        lines.join("\n") + "\n" == whole
    };
    let created: String = docker(1, "1", &deploy);
    assert_eq!(created.matches("Creating service vote_").count(), 5, "{created}");
    fleet.lab.until("all nodes say that it runs", || (1..=3).all(all_run));
    let tasks = fleet.running(2);
    docker(3, "1", &deploy);
    assert_eq!(fleet.running(2), tasks, "nothing restarts");

    fleet.lab.succeed(&["cut", "n3"]);
    docker(1, "2", &deploy);
    let is_new = |node: u8| {
        let running = fleet.running(node);
        let vote = running.iter().filter(|task| task.contains(" vote_vote."));
        vote.clone().count() == 2 && vote.clone().all(|task| !tasks.contains(task))
    };
    fleet.lab.until("the others go on without it", || is_new(1) && all_run(1));
    let alone: String = docker(3, "1", &["stack", "ls"]);
    assert!(alone.contains("vote"), "{alone}");
    fleet.lab.succeed(&["heal"]);
    fleet
        .lab
        .until("all have the new release", || (1..=3).all(|node| is_new(node) && all_run(node)));
    docker(2, "2", &["stack", "rm", "vote"]);
    fleet.lab.until("nothing is left", || {
        fleet.running(1).is_empty()
            && docker(
                1,
                "2",
                &["network", "ls", "-q", "--filter", "label=com.docker.stack.namespace=vote"],
            )
            .is_empty()
    });
}
