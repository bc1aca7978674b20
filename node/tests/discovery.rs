//! Members found by a token alone, with real agents on one network: each machine is a network namespace, and
//! a bridge connects them.
//!
//! Needs root.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Enough for a machine that compiles at the same time; an idle one needs 2 s.
const DEADLINE: Duration = Duration::from_secs(30);

/// Machines on one network, and their agents.
struct Network {
    dir: tempfile::TempDir,
    machines: Vec<Child>,
}

fn ip(words: &str) {
    let said = Command::new("ip").args(words.split_whitespace()).output().expect("ip is there");
    assert!(said.status.success(), "ip {words}: {}", String::from_utf8_lossy(&said.stderr));
}

impl Network {
    fn new() -> Network {
        let network = Network { dir: tempfile::tempdir().expect("a folder"), machines: Vec::new() };
        let switch = network.namespace(0);
        ip(&format!("netns add {switch}"));
        ip(&format!("-n {switch} link add bridge0 type bridge"));
        ip(&format!("-n {switch} link set bridge0 up"));
        network
    }

    /// Number 0 is the bridge's.
    fn namespace(&self, number: usize) -> String {
        format!("edgefind-{}-{number}", std::process::id())
    }

    /// Plugs in one more machine and starts its agent; returns its number.
    fn add(&mut self, variables: &[(&str, &str)]) -> usize {
        let number = self.machines.len() + 1;
        let (own, switch) = (self.namespace(number), self.namespace(0));
        ip(&format!("netns add {own}"));
        ip(&format!("-n {own} link set lo up"));
        ip(&format!("-n {own} link add eth0 type veth peer name port{number} netns {switch}"));
        ip(&format!("-n {switch} link set port{number} master bridge0 up"));
        ip(&format!("-n {own} address add 10.98.7.{number}/24 dev eth0"));
        ip(&format!("-n {own} link set eth0 up"));
        let log = File::create(self.path(&format!("log-{number}"))).expect("a log");
        let mut agent = self.on(number, env!("CARGO_BIN_EXE_edgectl"));
        agent
            .args(["agent", "--hostname", &format!("m{number}")])
            // The example of the documentation, unchanged.
            .args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/edge.toml")])
            .args(["--data-dir", &self.path(&format!("data-{number}")).display().to_string()])
            .args(["--socket", &self.socket(number).display().to_string()])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.machines.push(agent.spawn().expect("the agent starts"));
        self.until("it answers", || self.edgectl(number, &["version"]).status.success());
        number
    }

    /// A program in the network of a machine.
    fn on(&self, number: usize, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace(number))).arg("--").arg(program);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn socket(&self, number: usize) -> PathBuf {
        self.path(&format!("{number}.sock"))
    }

    fn edgectl(&self, number: usize, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        command.args(words).env("EDGECTL_SOCKET", self.socket(number)).stdin(Stdio::null());
        command.output().expect("edgectl runs")
    }

    fn says(&self, number: usize, words: &[&str]) -> String {
        let said = self.edgectl(number, words);
        assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).expect("text").trim().to_owned()
    }

    fn token(&self, number: usize) -> String {
        self.says(number, &["swarm", "join-token", "-q"])
    }

    /// What a machine says that cannot join by a token; nothing has changed then.
    fn refusal(&self, number: usize, token: &str) -> String {
        let said = self.edgectl(number, &["swarm", "join", token]);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert_eq!(self.names(number), [format!("m{number}")]);
        String::from_utf8(said.stderr).expect("text")
    }

    fn names(&self, number: usize) -> Vec<String> {
        let listed = self.says(number, &["node", "ls", "--format", "{{.Hostname}}"]);
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Packets of multicast DNS that came in from elsewhere.
    fn packets(&self, number: usize) -> u64 {
        let list = self.on(number, "nft").args(["list", "table", "inet", "heard"]).output();
        let list = String::from_utf8(list.expect("nft is there").stdout).expect("text");
        let counted = list.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
        counted.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{list}"))
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for agent in &mut self.machines {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        for number in 0..=self.machines.len() {
            let name = self.namespace(number);
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}

#[test]
fn a_token_leads_to_its_fleet_and_to_no_other_on_the_same_network() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("SKIPPED without root: network namespaces");
        return;
    }
    let mut network = Network::new();
    let (shop, office) = (network.add(&[]), network.add(&[]));
    let rules = "add table inet heard; \
         add chain inet heard in { type filter hook input priority 0; }; \
         add rule inet heard in iif eth0 ip saddr != 10.98.7.1 udp dport 5353 counter";
    assert!(network.on(shop, "nft").arg(rules).status().expect("nft is there").success());

    let third = network.add(&[]);
    let of_nobody = network.token(third);
    let said = network.says(third, &["swarm", "join", &network.token(shop)]);
    assert!(said.contains("This node joined a fleet"), "{said}");
    assert_eq!(network.names(shop), ["m1", "m3"]);
    assert_eq!(network.names(office), ["m2"]);
    assert_eq!(network.packets(shop), 1, "one asked, and of the others nobody answered");

    let fourth = network.add(&[]);
    let silence = network.refusal(fourth, &of_nobody);
    assert!(silence.contains("nobody on the networks of this machine answers"), "{silence}");
    assert!(silence.contains("try: edgectl swarm join --token TOKEN ADDRESS"), "{silence}");
    let own = network.refusal(fourth, &network.token(fourth));
    assert!(own.contains("of the fleet that this node is in"), "{own}");

    // A machine from an image: a token in a file, and no address.
    let file = network.path("join.token").display().to_string();
    let fifth = network.add(&[("EDGECTL_JOIN_TOKEN_FILE", &file)]);
    std::fs::write(&file, network.token(office)).expect("written");
    network.until("it joined the office", || network.names(office) == ["m2", "m5"]);
    assert_eq!(network.names(fifth), ["m2", "m5"]);

    let shut = network.add(&[("EDGECTL_DISCOVER_MEMBERS", "false")]);
    let off = network.refusal(shut, &network.token(shop));
    assert!(off.contains("discover_members is false"), "{off}");
    // Who is not to look for members does not let itself be found either.
    assert!(network.refusal(fourth, &network.token(shut)).contains("nobody on the networks"));

    // Members listen, and say nothing of themselves.
    let before = network.packets(shop);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(network.packets(shop), before);
}
