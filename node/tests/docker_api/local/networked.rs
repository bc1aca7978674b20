//! Containers made by hand on networks of the fleet, and Compose's own client, in network namespaces.

use std::process::Command;

use super::super::test_lab::TestLab;
use super::*;

/// Serves a page.
const SERVER: &str = "busybox mkdir /www; echo page >/www/index.html; \
                      exec busybox httpd -f -p 80 -h /www";

/// A lab that is asked by Docker's own client.
struct Docker {
    lab: TestLab,
    /// Where the client has its plugins.
    config: tempfile::TempDir,
}

impl Docker {
    fn start(letter: char, nodes: u8) -> Option<Docker> {
        if !super::super::has_docker() {
            eprintln!("SKIPPED without Docker's client: containers on networks");
            return None;
        }
        let lab = TestLab::up(letter, nodes).with_namespaces()?;
        lab.import_image();
        Some(Docker { lab, config: tempfile::tempdir().expect("a folder") })
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new("docker")
            .args(["-H", &format!("unix://{}", self.lab.socket(1).display())])
            .args(words)
            .env("DOCKER_CONFIG", self.config.path())
            .current_dir(self.config.path())
            .output()
            .expect("Docker's client runs")
    }

    fn docker(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
        text(&done.stdout).trim_end().to_owned()
    }

    /// What a container reads at an address.
    fn page(&self, network: &str, from: &str) -> String {
        let run = ["run", "--rm", "--network", network, IMAGE, "busybox", "wget"];
        let done = self.run(&[&run[..], &["-qO-", from]].concat());
        text(&done.stdout).trim_end().to_owned()
    }
}

#[test]
fn a_container_is_found_by_its_names_and_at_its_ports() {
    let Some(it) = Docker::start('o', 2) else { return };
    it.docker(&["run", "-d", "--name", "web", "-p", "8080:80", IMAGE, "sh", "-c", SERVER]);
    assert_eq!(it.docker(&["port", "web"]), "80/tcp -> 0.0.0.0:8080");
    it.lab.until("it serves", || it.page("bridge", "http://web") == "page");
    let address = format!("http://{}:8080", it.lab.address(1));
    let words = ["exec", "n2", "--", "busybox", "wget", "-qO-", &address];
    assert_eq!(it.lab.succeed(&words).trim_end(), "page", "another machine reaches the port");
    let taken = it.run(&["run", "-d", "--name", "late", "-p", "8080:80", IMAGE, "sleep", "9"]);
    assert!(text(&taken.stderr).contains("port 8080 is taken"), "{}", text(&taken.stderr));
    let unknown = it.run(&["run", "--rm", "--network", "nosuch", IMAGE, "true"]);
    assert_eq!(unknown.status.code(), Some(125));
    let said = text(&unknown.stderr);
    assert!(
        said.contains("network nosuch not found") && !said.contains("Unable to find"),
        "{said}"
    );
    it.docker(&["network", "create", "-d", "overlay", "back"]);
    let words = ["run", "-d", "--network", "back", "--network-alias", "store", "--name", "db"];
    let id = it.docker(&[&words[..], &[IMAGE, "sh", "-c", SERVER]].concat());
    for name in ["db", "store", &id[..12]] {
        it.lab.until("it is found", || it.page("back", &format!("http://{name}")) == "page");
    }
    it.docker(&["rm", "-f", "db", "web", "late"]);
    it.docker(&["network", "rm", "back"]);
}

/// The requests of Compose's client for a service that has changed, typed at Docker's.
#[test]
fn what_compose_asks_for_is_answered() {
    let Some(it) = Docker::start('p', 1) else { return };
    let project = "com.docker.compose.project=shop";
    it.docker(&["network", "create", "-d", "overlay", "--label", project, "shop_default"]);
    it.docker(&["volume", "create", "--label", project, "shop_data"]);
    let create = |name: &str, aliases: &[&str], version: &str| {
        let aliases = aliases.iter().flat_map(|alias| ["--network-alias", alias]);
        let aliases: Vec<&str> = aliases.collect();
        let (label, version) = ("com.docker.compose.service=web", format!("V={version}"));
        let head = ["create", "--name", name, "--network", "shop_default", "--label", project];
        let rest = ["--label", label, "-v", "shop_data:/data", "-e", &version, "--restart"];
        let line = format!("echo $V >>/data/f; {SERVER}");
        let tail = ["unless-stopped", IMAGE, "sh", "-c", &line];
        it.docker(&[&head[..], &aliases, &rest, &tail].concat())
    };
    create("shop-web-1", &["shop-web-1", "web"], "1");
    it.docker(&["start", "shop-web-1"]);
    create("0123_shop-web-1", &["shop-web-1", "web"], "2");
    it.docker(&["stop", "-t", "0", "shop-web-1"]);
    it.docker(&["rm", "shop-web-1"]);
    it.docker(&["rename", "0123_shop-web-1", "shop-web-1"]);
    it.docker(&["start", "shop-web-1"]);
    let filter = format!("label={project}");
    let names = ["ps", "-a", "--filter", &filter, "--format", "{{.Names}} {{.State}}"];
    assert_eq!(it.docker(&names), "shop-web-1 running");
    for name in ["web", "shop-web-1"] {
        it.lab.until("it serves", || it.page("shop_default", &format!("http://{name}")) == "page");
    }
    let data = it.docker(&["exec", "shop-web-1", "busybox", "cat", "/data/f"]);
    assert_eq!(data, "1\n2", "a named volume passes from one container to the next");
    let told = ["events", "--since", "10m", "--until", "0s", "--filter", &filter, "--format"];
    let told =
        it.docker(&[&told[..], &["{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"]].concat());
    assert!(told.contains("container start shop-web-1"), "{told}");
    it.docker(&["rm", "-f", "shop-web-1"]);
    it.docker(&["network", "rm", "shop_default"]);
    it.docker(&["volume", "rm", "shop_data"]);
}

const PROJECT: &str = "
services:
  web:
    image: registry.invalid/tools:1
    command: sh -c 'echo web is up; busybox mkdir /www; echo page >/www/index.html;
      exec busybox httpd -f -p 80 -h /www'
    environment: {A: \"1\"}
    ports: [\"8081:80\"]
    volumes: [\"data:/data\"]
    depends_on: [db]
  db:
    image: registry.invalid/tools:1
    command: sleep 1000
    stop_grace_period: 1s
volumes: {data: {}}
";

#[test]
fn composes_own_client_brings_a_project_up_and_down() {
    let Some(it) = Docker::start('r', 1) else { return };
    // A plugin that is not installed for everybody.
    if let Some(plugin) = std::env::var_os("EDGECTL_COMPOSE") {
        let dir = it.config.path().join("cli-plugins");
        std::fs::create_dir(&dir).expect("made");
        std::fs::copy(plugin, dir.join("docker-compose")).expect("copied");
    }
    if !it.run(&["compose", "version"]).status.success() {
        eprintln!(
            "SKIPPED without Compose's client (a plugin of Docker's, or EDGECTL_COMPOSE=PATH)"
        );
        return;
    }
    let write = |project: &str| {
        std::fs::write(it.config.path().join("compose.yaml"), project).expect("written");
    };
    let compose = |words: &[&str]| it.docker(&[&["compose", "-p", "shop"], words].concat());
    write(PROJECT);
    compose(&["up", "-d"]);
    let states = ["ps", "-a", "--format", "{{.Name}} {{.State}}"];
    assert_eq!(compose(&states), "shop-db-1 running\nshop-web-1 running");
    let ids = compose(&["ps", "-q"]);
    compose(&["up", "-d"]);
    assert_eq!(compose(&["ps", "-q"]), ids, "nothing has changed");
    assert!(compose(&["logs"]).contains("web is up"));
    let fetch = ["exec", "-T", "db", "busybox", "wget", "-qO-", "http://web"];
    it.lab.until("it serves", || {
        let fetched = it.run(&[&["compose", "-p", "shop"], &fetch[..]].concat());
        text(&fetched.stdout).trim() == "page"
    });
    write(&PROJECT.replace("A: \"1\"", "A: \"2\""));
    compose(&["up", "-d", "--scale", "db=2"]);
    assert_eq!(compose(&["exec", "-T", "web", "sh", "-c", "echo $A"]), "2");
    assert_eq!(compose(&states).lines().count(), 3);
    compose(&["stop", "-t", "0"]);
    compose(&["start"]);
    compose(&["restart", "-t", "0", "web"]);
    assert_eq!(compose(&["run", "--rm", "-T", "db", "sh", "-c", "echo ran"]), "ran");
    let job = "services: {job: {image: \"registry.invalid/tools:1\", command: \"sh -c 'echo one; exit 3'\"}}";
    std::fs::write(it.config.path().join("job.yaml"), job).expect("written");
    let up = ["compose", "-p", "job", "-f", "job.yaml", "up", "--exit-code-from", "job"];
    let done = it.run(&up);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("one"), "{}", text(&done.stdout));
    it.docker(&["compose", "-p", "job", "-f", "job.yaml", "down"]);
    compose(&["down", "-v", "-t", "0"]);
    assert_eq!(it.docker(&["ps", "-a", "-q"]), "");
    assert_eq!(it.docker(&["volume", "ls", "-q"]), "");
}
