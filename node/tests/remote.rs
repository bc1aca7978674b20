//! The API over TLS: Docker's own client and `edgectl` from another machine, and who is not heard.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use test_lab::TestLab;

/// Says again what it is told; the image has no `cat`.
const COPY: &str = "while read -r line; do echo \"$line\"; done";

/// What `TestLab::import_image` gives every node.
const IMAGE: &str = "registry.invalid/tools:1";

struct Fleet {
    lab: TestLab,
    /// What the first node's clients show.
    certificates: PathBuf,
}

impl Fleet {
    fn up() -> Option<Fleet> {
        let lab = TestLab::up('w', 2).with_namespaces()?;
        let config = lab.dir.join("edge.toml");
        let text = std::fs::read_to_string(&config).expect("the lab's configuration");
        std::fs::write(&config, format!("{text}api = \"0.0.0.0:2376\"\n")).expect("writable");
        for node in ["n1", "n2"] {
            lab.succeed(&["kill", node]);
            lab.succeed(&["start", node]);
        }
        let certificates = lab.dir.join("laptop");
        let fleet = Fleet { lab, certificates };
        let said = fleet.create_certificate().expect("files");
        let host = format!("DOCKER_HOST=tcp://{}:2376", fleet.lab.address(1));
        assert!(said.contains(&host) && said.contains("DOCKER_CERT_PATH="), "{said}");
        Some(fleet)
    }

    fn create_certificate(&self) -> Result<String, String> {
        let folder = self.certificates.display().to_string();
        self.lab.try_edgectl(1, &["ca", "client", "--output", &folder, "laptop"])
    }

    /// A program on the first node that talks to the second.
    fn remote(&self, certificates: &Path, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        command.args(["lab", "exec", "n1", "--name", &self.lab.name, "--"]).args(words);
        command
            .env("DOCKER_CERT_PATH", certificates)
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_CONFIG", &self.lab.dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("it reads");
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    fn host(&self) -> String {
        format!("tcp://{}:2376", self.lab.address(2))
    }

    fn edgectl(&self, certificates: &Path, words: &[&str]) -> Output {
        let program = env!("CARGO_BIN_EXE_edgectl");
        self.remote(certificates, &[&[program, "-H", &self.host()], words].concat(), "")
    }

    fn docker(&self, words: &[&str]) -> Output {
        self.remote(&self.certificates, &[&["docker"], words].concat(), "")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn clients_with_a_certificate_of_the_fleet_have_the_whole_api_and_nobody_else_has_any() {
    let Some(fleet) = Fleet::up() else { return };
    fleet.lab.import_image();
    fleet.lab.until("the second node serves it", || fleet.docker(&["version"]).status.success());
    assert_eq!(succeeded(fleet.docker(&["node", "ls", "--quiet"])).lines().count(), 2);
    let create = ["service", "create", "--detach", "--no-resolve-image", "--name", "web"];
    let on_second = ["--constraint", "node.hostname==n2", IMAGE, "sleep", "1000"];
    succeeded(fleet.docker(&[&create[..], &on_second].concat()));
    fleet.lab.until("it runs", || {
        let ps = ["service", "ps", "--format", "{{.CurrentState}}", "web"];
        said(&fleet.docker(&ps)).starts_with("Running")
    });
    // A connection that is taken over, in both directions, one of which ends before the other.
    let cat = ["docker", "exec", "--interactive", "web.1", "sh", "-c", COPY];
    let long = "a line\n".repeat(20_000);
    assert_eq!(succeeded(fleet.remote(&fleet.certificates, &cat, &long)), long);
    let ls = fleet.edgectl(&fleet.certificates, &["service", "ls", "--format", "{{.Name}}"]);
    assert_eq!(succeeded(ls), "web\n");

    // Files are for their owner alone, and are not written over.
    let key = fleet.certificates.join("key.pem");
    let mode = std::fs::metadata(&key).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&key).expect("readable");
    assert!(fleet.create_certificate().is_err_and(|told| told.contains("cannot write")));
    assert_eq!(std::fs::read(&key).expect("readable"), before);

    refuses_all_others(&fleet);
    a_reader_looks_and_changes_nothing(&fleet);
    a_certificate_that_was_taken_back_opens_nothing(&fleet);
    what_was_changed_is_told_on_every_node(&fleet);
}

/// Of all that the test did before.
fn what_was_changed_is_told_on_every_node(fleet: &Fleet) {
    let format = "{{.Node}} {{.Client}}: {{.Action}} {{.Status}}";
    let told = fleet.lab.edgectl(1, &["events", "--audit", "--format", format]);
    let lines: Vec<&str> = told.lines().collect();
    let has = |line: &str| assert!(lines.contains(&line), "{line} is not in:\n{told}");
    has("n1 root: ca client --role operator laptop 200");
    has("n2 laptop (operator): service create web 201");
    has("n2 root: ca revoke laptop 204");
    let refused =
        |what: &str| lines.iter().any(|line| line.contains(what) && line.ends_with("403"));
    assert!(refused("n2 grafana (reader): POST /services/"), "{told}");
    assert!(
        lines.iter().any(|line| line.contains("laptop (operator): POST /containers/")),
        "{told}"
    );
    assert!(!told.contains("GET "), "who only looks changes nothing: {told}");
    assert!(!told.contains("dry-run"), "{told}");
    let other = fleet.lab.edgectl(2, &["events", "--audit", "--format", format]);
    assert_eq!(other, told, "every node tells the same");
    // A node that cannot be asked is named, and the others tell theirs.
    fleet.lab.succeed(&["kill", "n2"]);
    let output = fleet.lab.edgectl_output(1, &["events", "--audit"]);
    let (told, missing) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && missing.contains("through n2: it"), "{missing}");
    assert!(String::from_utf8_lossy(told).contains("n1 root: ca client"), "{}", said(&output));
    fleet.lab.succeed(&["start", "n2"]);
    fleet.lab.until("its log outlives the agent", || {
        fleet.lab.edgectl(1, &["events", "--audit"]).contains("n2 root: ca revoke laptop")
    });
}

fn a_reader_looks_and_changes_nothing(fleet: &Fleet) {
    let folder = fleet.lab.dir.join("grafana");
    let path = folder.display().to_string();
    fleet.lab.edgectl(1, &["ca", "client", "--role", "reader", "--output", &path, "grafana"]);
    let docker = |words: &[&str]| fleet.remote(&folder, &[&["docker"], words].concat(), "");
    assert!(succeeded(docker(&["service", "ls"])).contains("web"));
    assert!(succeeded(docker(&["service", "ps", "--quiet", "web"])).lines().count() == 1);
    succeeded(docker(&["info", "--format", "{{.Swarm.NodeID}}"]));
    let copied = folder.join("hosts").display().to_string();
    for words in [
        &["service", "scale", "--detach", "web=3"][..],
        &["service", "rm", "web"],
        &["exec", "web.1", "true"],
        &["cp", "web.1:/etc/hosts", &copied],
        &["node", "update", "--availability", "drain", "n1"],
    ] {
        let refused = docker(words);
        let told = said(&refused);
        assert!(!refused.status.success() && told.contains("a reader's"), "{words:?}: {told}");
    }
    let token = docker(&["swarm", "join-token", "--quiet", "worker"]);
    assert!(!said(&token).contains("EDGE-"), "{}", said(&token));
    let listed = succeeded(docker(&["service", "ls", "--format", "{{.Replicas}}"]));
    assert_eq!(listed, "1/1\n", "nothing was changed");
}

fn a_certificate_that_was_taken_back_opens_nothing(fleet: &Fleet) {
    let ls = ["ca", "ls", "--format", "{{.Name}} {{.Role}} {{.Issuer}}"];
    fleet.lab.until("the other node knows both", || {
        fleet.lab.edgectl(2, &ls) == "grafana reader n1\nlaptop operator n1\n"
    });
    fleet.lab.edgectl(2, &["ca", "revoke", "laptop"]);
    let refused = fleet.docker(&["node", "ls"]);
    assert!(said(&refused).contains("was taken back"), "{}", said(&refused));
    assert_eq!(fleet.lab.edgectl(2, &ls), "grafana reader n1\n");
    let told = fleet.lab.try_edgectl(2, &["ca", "revoke", "laptop"]);
    assert!(told.is_err_and(|told| told.contains("client laptop not found")));
}

/// Clients without a certificate, with one of another fleet, and without TLS.
fn refuses_all_others(fleet: &Fleet) {
    let other = TestLab::up('x', 1);
    let folder = other.dir.join("laptop");
    let path = folder.display().to_string();
    // That fleet does not serve it: the files are there all the same.
    let told = other.try_edgectl(1, &["ca", "client", "--output", &path, "laptop"]);
    assert!(told.is_err_and(|told| told.contains("does not serve the API over TLS")));
    let foreign = fleet.edgectl(&folder, &["node", "ls"]);
    assert!(said(&foreign).contains("invalid peer certificate"), "{}", said(&foreign));
    // It trusts this fleet, which does not trust it.
    std::fs::copy(fleet.certificates.join("ca.pem"), folder.join("ca.pem")).expect("writable");
    let foreign = fleet.edgectl(&folder, &["node", "ls"]);
    assert_eq!(foreign.status.code(), Some(1), "{}", said(&foreign));
    let none = fleet.edgectl(Path::new("/nowhere"), &["node", "ls"]);
    assert!(said(&none).contains("/nowhere/ca.pem"), "{}", said(&none));
    let address = format!("{}:2376", fleet.lab.address(2));
    for url in [format!("https://{address}/_ping"), format!("http://{address}/_ping")] {
        let curl = ["curl", "--insecure", "--silent", "--max-time", "5", &url];
        let output = fleet.remote(Path::new("/nowhere"), &curl, "");
        assert!(!output.status.success() && output.stdout.is_empty(), "{}", said(&output));
    }
}
