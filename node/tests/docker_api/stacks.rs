//! Stacks of Docker's own client on two nodes, with containers on networks of the fleet. As root
//! only.

use std::collections::BTreeSet;
use std::process::Command;

use super::has_docker;
use super::test_lab::TestLab;

/// Five services on two networks, with what such files usually have.
const VOTE: &str = include_str!("stacks/vote.yaml");

/// All of its tasks, on two nodes.
const TASKS: usize = 7;

/// What the client printed on both streams, and its exit code.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

struct Park {
    lab: TestLab,
}

impl Park {
    /// `None` without Docker's client or without root.
    fn open() -> Option<Park> {
        if !has_docker() {
            return None;
        }
        let park = Park { lab: TestLab::up('u', 2).with_namespaces()? };
        park.lab.import_image();
        Some(park)
    }

    fn try_docker(&self, node: u8, words: &[&str]) -> Said {
        let output = Command::new("docker")
            .args(["-H", &format!("unix://{}", self.lab.socket(node).display())])
            .args(words)
            .env("DOCKER_CONFIG", &self.lab.dir)
            .output()
            .expect("Docker's client runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        Said { out, err, code: output.status.code() }
    }

    fn docker(&self, node: u8, words: &[&str]) -> Said {
        let said = self.try_docker(node, words);
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said
    }

    /// The lines that a command of the client prints.
    fn lines(&self, node: u8, words: &[&str]) -> Vec<String> {
        self.docker(node, words).out.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn deploy(&self, node: u8, file: &str, flags: &[&str]) -> Said {
        let path = self.lab.dir.join("stack.yaml");
        std::fs::write(&path, file).expect("a file");
        let path = path.display().to_string();
        let deploy = ["stack", "deploy", "--detach=true", "-c", &path];
        self.try_docker(node, &[&deploy[..], flags, &["vote"]].concat())
    }

    /// All tasks of the stack, with those that were before: id, name and node of each.
    fn tasks(&self, node: u8) -> BTreeSet<String> {
        let format = "{{.ID}} {{.Name}} {{.Node}}";
        let ps = ["stack", "ps", "--no-trunc", "--format", format, "vote"];
        self.try_docker(node, &ps).out.lines().map(str::to_owned).collect()
    }

    fn replicas(&self, node: u8) -> Vec<String> {
        let format = "{{.Name}} {{.Mode}} {{.Replicas}} {{.Ports}}";
        self.lines(node, &["stack", "services", "--format", format, "vote"])
    }
}

#[test]
fn dockers_own_client_deploys_a_stack_updates_it_and_takes_it_down() {
    let Some(park) = Park::open() else { return };
    let created = park.deploy(1, VOTE, &["--with-registry-auth"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    assert_eq!(created.out.matches("Creating network vote_").count(), 2, "{created:?}");
    assert_eq!(created.out.matches("Creating service vote_").count(), 5, "{created:?}");
    let all = [
        "vote_db replicated 1/1",
        "vote_redis replicated 1/1",
        "vote_result replicated 1/1 *:5001->80/tcp",
        "vote_vote replicated 2/2 *:5000->80/tcp",
        "vote_worker global 2/2",
    ];
    park.lab.until("all tasks run", || park.replicas(2) == all);
    listings_know_the_stack(&park);
    names_lead_to_services_of_the_same_network(&park);

    let tasks = park.tasks(1);
    assert_eq!(tasks.len(), TASKS, "{tasks:?}");
    let again = park.deploy(1, VOTE, &[]);
    assert_eq!(again.out.matches("Updating service vote_").count(), 5, "{again:?}");
    assert_eq!((again.out.matches("Creating").count(), again.code), (0, Some(0)), "{again:?}");
    // A label of a service is no part of its tasks. When the other node knows it, it also knows
    // what was written before.
    let labelled = VOTE.replace("tier: front", "tier: edge");
    let labelled = park.deploy(2, &labelled, &["--resolve-image", "changed"]);
    assert_eq!(labelled.code, Some(0), "{labelled:?}");
    let of_edge = ["stack", "services", "-q", "-f", "label=tier=edge", "vote"];
    park.lab.until("the first node knows the label", || park.lines(1, &of_edge).len() == 1);
    assert_eq!(park.tasks(1), tasks, "nothing is restarted");
    assert_eq!(park.replicas(1), all);

    let less = without(VOTE, "db");
    let pruned = park.deploy(1, &less, &["--resolve-image", "changed", "--prune"]);
    assert_eq!(pruned.code, Some(0), "{pruned:?}");
    assert!(pruned.out.contains("Removing service vote_db"), "{pruned:?}");
    let of_db = |tasks: &BTreeSet<String>| {
        let is_db = |task: &&String| task.contains(" vote_db.");
        tasks.iter().filter(|task| !is_db(task)).cloned().collect::<BTreeSet<_>>()
    };
    park.lab.until("the other node has none of it", || park.replicas(2).len() == 4);
    assert_eq!(park.tasks(2), of_db(&tasks), "all others go on");

    park_is_left_as_it_was(&park);
}

/// The file without a service.
fn without(file: &str, service: &str) -> String {
    let from = file.find(&format!("\n  {service}:\n")).expect("it is there") + 1;
    let next = file[from..].lines().scan(from, |at, line| {
        let begin = *at;
        *at += line.len() + 1;
        Some((begin, line))
    });
    let is_next = |line: &str| !line.starts_with("    ");
    let end = next.skip(1).find(|(_, line)| is_next(line)).map_or(file.len(), |(at, _)| at);
    format!("{}{}", &file[..from], &file[end..])
}

fn listings_know_the_stack(park: &Park) {
    for node in [1, 2] {
        let stacks = park.lines(node, &["stack", "ls", "--format", "{{.Name}} {{.Services}}"]);
        assert_eq!(stacks, ["vote 5"]);
    }
    let table = park.lines(1, &["stack", "ls"]);
    assert_eq!(table, ["NAME      SERVICES", "vote      5"]);

    let services = |filter: &str| {
        let format = "{{.Name}}";
        park.lines(1, &["stack", "services", "-f", filter, "--format", format, "vote"])
    };
    assert_eq!(services("name=vote_v"), ["vote_vote"]);
    assert_eq!(services("mode=global"), ["vote_worker"]);
    assert_eq!(services("label=tier=front"), ["vote_vote"]);
    assert_eq!(services("name=nothing"), [""; 0]);
    let ids = park.lines(2, &["stack", "services", "-q", "vote"]);
    assert_eq!(ids.len(), 5);
    assert_eq!(services(&format!("id={}", ids[0])), ["vote_db"]);

    let tasks = |filter: &str| {
        let format = "{{.Name}} {{.Node}} {{.DesiredState}}";
        park.lines(2, &["stack", "ps", "-f", filter, "--format", format, "vote"])
    };
    assert_eq!(tasks("desired-state=running").len(), TASKS);
    assert_eq!(tasks("name=vote_vote").len(), 2);
    assert_eq!(tasks("node=n1").len() + tasks("node=n2").len(), TASKS);
    let whole = park.lines(1, &["stack", "ps", "-q", "--no-trunc", "vote"]);
    assert_eq!((whole.len(), whole[0].len()), (TASKS, 25));
    assert_eq!(tasks(&format!("id={}", whole[0])).len(), 1);
    let nodes = park.lines(1, &["stack", "ps", "--no-resolve", "--format", "{{.Node}}", "vote"]);
    assert!(nodes.iter().all(|node| node.len() > 2), "ids: {nodes:?}");
    let json = park.lines(1, &["stack", "ps", "--format", "json", "vote"]);
    assert!(json[0].starts_with('{') && json[0].contains(r#""Name":"vote_db.1""#), "{json:?}");
}

fn names_lead_to_services_of_the_same_network(park: &Park) {
    let found = |task: &str, name: &str| {
        park.lab.try_edgectl(1, &["exec", task, "/bin/nslookup", name]).is_ok()
    };
    park.lab.until("vote finds redis", || found("vote_vote.1", "redis"));
    park.lab.until("result finds db", || found("vote_result.1", "db"));
    park.lab.until("and itself by its alias", || found("vote_result.1", "results"));
    assert!(!found("vote_vote.1", "db"), "it is on another network");
    let volumes =
        [1, 2].map(|node| park.lines(node, &["volume", "ls", "-q", "-f", "name=vote_db-data"]));
    assert_eq!(volumes.concat(), ["vote_db-data"]);
}

/// Takes the stack down, and looks for what is left of it.
fn park_is_left_as_it_was(park: &Park) {
    let gone = park.docker(2, &["stack", "rm", "--detach=false", "vote"]);
    let lines = format!("{}{}", gone.out, gone.err);
    let removed: Vec<&str> = lines.lines().filter(|line| line.starts_with("Removing ")).collect();
    let (services, networks) = removed.split_at(4);
    assert!(services.iter().all(|line| line.starts_with("Removing service vote_")), "{lines}");
    assert_eq!(networks.len(), 2, "{lines}");
    assert!(networks.iter().all(|line| line.starts_with("Removing network vote_")), "{lines}");
    for node in [1, 2] {
        let left = |words: &[&str]| park.lines(node, words);
        let of_stack = "label=com.docker.stack.namespace=vote";
        park.lab.until("no service is left", || left(&["service", "ls", "-q"]).is_empty());
        park.lab.until("no network is left", || {
            left(&["network", "ls", "-q", "-f", of_stack]).is_empty()
        });
        park.lab.until("no container is left", || left(&["ps", "-q"]).is_empty());
    }
    let nothing = park.docker(1, &["stack", "rm", "vote"]);
    assert!(nothing.err.contains("Nothing found in stack: vote"), "{nothing:?}");
    let unknown = park.try_docker(1, &["stack", "ps", "vote"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""), "{unknown:?}");

    // Without --detach=true it waits until all tasks run and stay.
    let solo = "services: {web: {image: \"registry.invalid/tools:1\", command: sleep 1000, \
                stop_grace_period: 1s, deploy: {update_config: {monitor: 1s}}}}\n";
    let waited = park.deploy(1, solo, &["--detach=false", "-q"]);
    assert_eq!(waited.code, Some(0), "{waited:?}");
    assert_eq!(park.replicas(1), ["vote_web replicated 1/1"]);
    park.docker(1, &["stack", "rm", "-d", "vote"]);

    let secret = "services: {web: {image: registry.invalid/tools:1, secrets: [key]}}\n\
                  secrets: {key: {file: ./stack.yaml}}\n";
    // Docker's client sends what is in it each time.
    for _ in 0..2 {
        let made = park.deploy(1, secret, &[]);
        assert_eq!(made.code, Some(0), "{made:?}");
    }
    assert_eq!(park.lines(1, &["secret", "ls", "--format", "{{.Name}}"]), ["vote_key"]);
    let other = secret.replace("image: reg", "image:  reg");
    let refused = park.deploy(1, &other, &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("edgectl secret rotate vote_key FILE"), "{refused:?}");
    park.docker(1, &["stack", "rm", "vote"]);
}
