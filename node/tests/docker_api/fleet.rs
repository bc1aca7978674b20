//! Real agents on loopback, with requests over their sockets. Everything that they run ends with
//! them.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Enough for a machine that compiles at the same time; an idle one needs 2 s.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The third number of the addresses: tests of several files run at the same time, and count their nets
/// each for itself.
const FILE: u8 = {
    let (name, mut at, mut number) = (env!("CARGO_CRATE_NAME").as_bytes(), 0, 0);
    while at < name.len() {
        number = (number * 31 + name[at] as u16) % 251;
        at += 1;
    }
    number as u8 + 1
};

/// Agents of one fleet.
pub struct Fleet {
    dir: tempfile::TempDir,
    agents: Vec<Child>,
    /// Keys of `edge.toml`, as environment variables.
    settings: Vec<(String, String)>,
    /// A program that begins each agent, with its arguments; none: they begin by themselves.
    launcher: Vec<String>,
}

/// What an agent answered.
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// The text of an error.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().expect("a message").to_owned()
    }
}

impl Fleet {
    /// Starts agents that know each other. They listen on addresses of their own, 127.`net`.[`FILE`].x, so
    /// that tests do not disturb each other.
    pub fn start(net: u8, count: usize) -> Fleet {
        Fleet::start_in(tempfile::tempdir().expect("a directory"), net, count, &[])
    }

    /// The same in a folder, with keys of the configuration, such as `EDGECTL_LOG`.
    pub fn start_in(
        dir: tempfile::TempDir,
        net: u8,
        count: usize,
        settings: &[(&str, &str)],
    ) -> Fleet {
        Fleet::start_by(&[], dir, (net, count), settings)
    }

    /// The same, each agent begun by a program that ends with it.
    pub fn start_by(
        launcher: &[&str],
        dir: tempfile::TempDir,
        (net, count): (u8, usize),
        settings: &[(&str, &str)],
    ) -> Fleet {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut fleet = Fleet {
            dir,
            agents: Vec::new(),
            settings: settings.iter().map(owned).collect(),
            launcher: launcher.iter().map(|word| (*word).to_owned()).collect(),
        };
        for number in 1..=count {
            fleet.agents.push(fleet.agent(net, number).spawn().expect("the agent starts"));
        }
        for number in 1..=count {
            fleet.until("the agents know each other", || {
                let nodes = fleet.try_get(number, "/nodes").map(|reply| reply.json());
                nodes.is_some_and(|nodes| {
                    let ready = |node: &&Value| node["Status"]["State"] == "ready";
                    nodes.as_array().expect("a list").iter().filter(ready).count() == count
                })
            });
        }
        fleet
    }

    fn agent(&self, net: u8, number: usize) -> Command {
        let path = |name: String| self.dir.path().join(name).display().to_string();
        let mut words =
            self.launcher.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_edgectl")]);
        let mut command = Command::new(words.next().expect("at least edgectl"));
        command
            .args(words)
            .args(["agent", "--hostname", &format!("shop-{number}")])
            .args(["--data-dir", &path(format!("data-{number}"))])
            .args(["--socket", &self.socket(number).display().to_string()])
            .args(["--listen", &format!("127.{net}.{FILE}.{number}:7946")])
            .env("EDGECTL_FLEET_KEY", "5".repeat(64))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command.env("EDGECTL_LOG", "warn").envs(self.settings.iter().cloned());
        if number > 1 {
            command.args(["--join", &format!("127.{net}.{FILE}.1:7946")]);
        }
        command
    }

    /// Kills an agent at once, without leaving.
    pub fn kill(&mut self, number: usize) {
        let agent = &mut self.agents[number - 1];
        let _ = agent.kill();
        let _ = agent.wait();
    }

    /// Starts it again.
    pub fn restart(&mut self, net: u8, number: usize) {
        self.agents[number - 1] = self.agent(net, number).spawn().expect("the agent starts");
        self.until("it answers", || self.try_get(number, "/_ping").is_some());
    }

    /// The process of an agent.
    pub fn pid(&self, number: usize) -> u32 {
        self.agents[number - 1].id()
    }

    /// Where its files are.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub fn socket(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("{number}.sock"))
    }

    /// Checks the condition until it holds.
    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a request to an agent; the first one is 1.
    pub fn ask(&self, number: usize, method: &str, path: &str, body: &str) -> Reply {
        self.try_ask(number, method, path, body).expect("the agent answers")
    }

    pub fn get(&self, number: usize, path: &str) -> Reply {
        self.ask(number, "GET", path, "")
    }

    fn try_get(&self, number: usize, path: &str) -> Option<Reply> {
        self.try_ask(number, "GET", path, "").ok()
    }

    fn try_ask(
        &self,
        number: usize,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<Reply> {
        let mut stream = UnixStream::connect(self.socket(number))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        // HTTP/1.0: the end of the connection is the end of the body.
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        let junk = || std::io::Error::other("no HTTP");
        let head = reply.windows(4).position(|part| part == b"\r\n\r\n").ok_or_else(junk)?;
        let status = std::str::from_utf8(&reply[..head]).ok().and_then(|head| head.get(9..12));
        let status = status.and_then(|status| status.parse().ok()).ok_or_else(junk)?;
        Ok(Reply { status, body: reply[head + 4..].to_vec() })
    }

    /// How many tasks of a service run, as one agent sees it.
    pub fn running(&self, number: usize, service: &str) -> u64 {
        let path = format!("/services?status=1&filters=%7B%22name%22%3A%5B%22{service}%22%5D%7D");
        let services = self.get(number, &path).json();
        services[0]["ServiceStatus"]["RunningTasks"].as_u64().unwrap_or(0)
    }

    /// Docker's own client, as an operator would call it.
    pub fn docker(&self, number: usize, arguments: &[&str]) -> Output {
        Command::new("docker")
            .args(["-H", &format!("unix://{}", self.socket(number).display())])
            .args(arguments)
            .env("DOCKER_CONFIG", self.dir.path())
            .output()
            .expect("Docker's client runs")
    }

    /// Those that were made by hand, whatever they do.
    fn remove_containers(&self) {
        for number in 1..=self.agents.len() {
            let path = "/containers/json?all=1&filters=%7B%22is-task%22:%5B%22false%22%5D%7D";
            let Some(found) = self.try_get(number, path).map(|reply| reply.json()) else {
                continue;
            };
            for container in found.as_array().into_iter().flatten() {
                let id = container["Id"].as_str().unwrap_or_default();
                let _ = self.try_ask(number, "DELETE", &format!("/containers/{id}?force=1"), "");
            }
        }
    }

    fn end_all_tasks(&self) {
        self.remove_containers();
        let Some(services) = self.try_get(1, "/services").map(|reply| reply.json()) else { return };
        for service in services.as_array().into_iter().flatten() {
            let path = format!("/services/{}", service["ID"].as_str().unwrap_or_default());
            let _ = self.try_ask(1, "DELETE", &path, "");
        }
        let begun = Instant::now();
        let runs = |number: usize| self.dir.path().join(format!("data-{number}/runs"));
        let any_left = || {
            (1..=self.agents.len()).any(|number| {
                let left = std::fs::read_dir(runs(number));
                left.is_ok_and(|mut left| left.next().is_some())
            })
        };
        while any_left() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Fleet {
    /// Ends tasks of agents that a test killed, if it failed before these agents were back: the
    /// monitors get the order directly, and end a moment later.
    fn end_what_outlived_its_agent(&self) {
        for number in 1..=self.agents.len() {
            let runs = self.dir.path().join(format!("data-{number}/runs"));
            for run in std::fs::read_dir(runs).into_iter().flatten().flatten() {
                let mut control = std::fs::OpenOptions::new();
                let control = control.write(true).custom_flags(nix::libc::O_NONBLOCK);
                let told = control.open(run.path().join("control"));
                let _ = told.and_then(|mut control| control.write_all(b"stop 9 0\n"));
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end_all_tasks();
        for agent in &mut self.agents {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        self.end_what_outlived_its_agent();
    }
}
