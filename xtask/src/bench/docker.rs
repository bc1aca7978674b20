//! `bench docker`: Docker's own client against two agents of the release build, and against a Docker
//! Swarm of two nodes beside them, in turn and with the same files.
//!
//! A stack is measured from the start of `docker stack deploy` until the same client lists all of its
//! tasks as running. The bench must never measure one side with another client, or ask it more often.

use super::figures::{Figures, Limit, Limits, median};
use super::process::status_mib;
use super::swarm::Swarm;
use crate::fleet::{Fleet, Links, program};
use crate::{image, setup};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const LIMITS: Limits = &[
    ("stack_deploy_ratio", Limit::AtMost(0.3)),
    ("docker_node_ls_ratio", Limit::AtMost(1.0)),
    ("list_1000_ms", Limit::AtMost(100.0)),
    ("list_1000_client_ms", Limit::AtMost(250.0)),
    ("list_1000_rss_mib", Limit::AtMost(8.0)),
];

const NODES: usize = 2;
const IMAGE: &str = "bench:small";
/// Services of the stack, each of one task.
const SERVICES: usize = 10;
/// How often the stack is deployed on each side; the median counts.
const DEPLOYS: usize = 5;
/// How often a list is asked for; the median counts.
const LISTS: usize = 21;
/// Services that are listed.
const MANY: usize = 1_000;
/// Much longer than every limit, so that a miss gives a number and not an error.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Measures all figures; takes the fleet down even if it fails.
pub fn measure() -> Result<Figures> {
    setup::run()?;
    let edgectl = program::release()?;
    let fleet = Fleet::up(&edgectl, "bench", NODES)?;
    let mut figures = Figures::new(LIMITS);
    let measured = match fleet.links {
        Links::Loopback => bail_without_root(),
        Links::Namespaces => all(&fleet, &mut figures),
    };
    fleet.down()?;
    measured.map(|()| figures)
}

fn bail_without_root() -> Result<()> {
    bail!("containers need root; type: sudo -E cargo xtask bench docker")
}

fn all(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    let archive = fleet.dir.join("small.tar");
    image::busybox(IMAGE, &[], &archive)?;
    let archive = archive.to_str().context("the lab's folder is no text")?;
    let first = &fleet.nodes[0];
    fleet.edgectl(first, &["image", "push", archive])?;
    let ours = Side::new(fleet, format!("unix://{}", first.socket.display()))?;
    let swarm = Swarm::up(fleet, IMAGE)?;
    let theirs = Side::new(fleet, swarm.host())?;
    eprintln!("  against {}", swarm.version);
    stacks(&ours, &theirs, figures)?;
    node_lists(&ours, &theirs, figures)?;
    drop(swarm);
    long_list(fleet, &ours, figures)
}

/// Docker's client, and whom it talks to.
struct Side {
    host: String,
    settings: String,
    stack: String,
}

impl Side {
    fn new(fleet: &Fleet, host: String) -> Result<Side> {
        let text = |name: &str| {
            let path = fleet.dir.join(name);
            path.to_str().map(str::to_owned).context("the lab's folder is no text")
        };
        let (settings, stack) = (text("client")?, text("stack.yaml")?);
        std::fs::create_dir_all(&settings)?;
        std::fs::write(&stack, stack_file())?;
        Ok(Side { host, settings, stack })
    }

    fn docker(&self, words: &[&str]) -> Result<String> {
        let mut docker = Command::new("docker");
        // The client of a person may have other settings.
        docker.env("DOCKER_CONFIG", &self.settings).args(["--host", &self.host]).args(words);
        let output = docker.stdin(Stdio::null()).output().context("cannot start docker")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker {}: {}", words.join(" "), error.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn timed(&self, words: &[&str]) -> Result<Duration> {
        let begun = Instant::now();
        self.docker(words)?;
        Ok(begun.elapsed())
    }

    /// How long until the whole stack runs. It is removed again, with its networks.
    fn deploy(&self) -> Result<Duration> {
        let begun = Instant::now();
        let flags = ["--resolve-image", "never", "--detach"];
        self.docker(&[&["stack", "deploy", "-c", &self.stack], &flags[..], &["shop"]].concat())?;
        let states = ["stack", "ps", "--format", "{{.CurrentState}}", "shop"];
        let took = loop {
            let states = self.docker(&states)?;
            let took = begun.elapsed();
            let running = states.lines().filter(|state| state.starts_with("Running")).count();
            if running == SERVICES {
                break took;
            }
            ensure!(took < TIMEOUT, "the stack does not run: {states}");
        };
        self.docker(&["stack", "rm", "shop"])?;
        self.until_gone()?;
        Ok(took)
    }

    /// Swarm ends tasks and removes networks after its answer, which must not count in what follows.
    fn until_gone(&self) -> Result<()> {
        let begun = Instant::now();
        let of_stack = "label=com.docker.stack.namespace=shop";
        for list in [&["ps", "--all"][..], &["network", "ls"]] {
            let list = [list, &["--quiet", "--filter", of_stack]].concat();
            while !self.docker(&list)?.is_empty() {
                ensure!(begun.elapsed() < TIMEOUT, "the stack is not removed");
                sleep(Duration::from_millis(100));
            }
        }
        sleep(Duration::from_secs(1));
        Ok(())
    }
}

/// Ten services that do nothing, on two networks of the stack.
fn stack_file() -> String {
    let mut file = String::from("version: \"3.8\"\nnetworks: {front: {}, back: {}}\nservices:\n");
    for number in 0..SERVICES {
        let networks = if number % 2 == 0 { "[front, back]" } else { "[back]" };
        file += &format!(
            "  s{number}:\n    image: {IMAGE}\n    command: [sleep, \"100000\"]\n    \
             stop_grace_period: 100ms\n    networks: {networks}\n"
        );
    }
    file
}

/// Both sides in turn; who goes first changes, so that a trend of the machine favours nobody.
fn in_turn(
    times: usize,
    (ours, theirs): (&Side, &Side),
    measure: impl Fn(&Side) -> Result<Duration>,
) -> Result<(f64, f64)> {
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for number in 0..times {
        let mut both = [(ours, &mut own), (theirs, &mut other)];
        if number % 2 == 1 {
            both.reverse();
        }
        for (side, taken) in both {
            taken.push(measure(side)?.as_secs_f64() * 1e3);
        }
    }
    Ok((median(own), median(other)))
}

fn stacks(ours: &Side, theirs: &Side, figures: &mut Figures) -> Result<()> {
    let (own, other) = in_turn(DEPLOYS, (ours, theirs), Side::deploy)?;
    eprintln!("  a stack of {SERVICES} services {own:.0} ms, of Swarm {other:.0} ms");
    figures.note("stack_deploy_ratio", own / other);
    Ok(())
}

fn node_lists(ours: &Side, theirs: &Side, figures: &mut Figures) -> Result<()> {
    let (own, other) = in_turn(LISTS, (ours, theirs), |side| side.timed(&["node", "ls"]))?;
    eprintln!("  docker node ls {own:.1} ms, of Swarm {other:.1} ms");
    figures.note("docker_node_ls_ratio", own / other);
    Ok(())
}

/// The list of a thousand services with their counts, as Docker's client asks for it, and the whole
/// command; and by how much the agent grows meanwhile.
fn long_list(fleet: &Fleet, ours: &Side, figures: &mut Figures) -> Result<()> {
    let first = &fleet.nodes[0];
    for number in 0..MANY {
        let spec = json!({
            "Name": format!("many{number}"),
            "Mode": {"Replicated": {"Replicas": 0}},
            "TaskTemplate": {"ContainerSpec": {"Image": IMAGE, "Command": ["sleep", "100000"]}},
        });
        fleet.post(first, "/services/create?resolve=never", &spec)?;
    }
    let agent = *fleet.agents()?.first().context("no agent")?;
    // What the creation took is given back first.
    sleep(Duration::from_secs(10));
    let before = status_mib(agent, "VmRSS:")?;
    std::fs::write(format!("/proc/{agent}/clear_refs"), "5")?;
    let (mut requests, mut commands) = (Vec::new(), Vec::new());
    for _ in 0..LISTS {
        let begun = Instant::now();
        let list = fleet.get(first, "/services?status=true")?;
        requests.push(begun.elapsed().as_secs_f64() * 1e3);
        let count = list.as_array().map_or(0, Vec::len);
        ensure!(count == MANY, "{count} services are listed");
        commands.push(ours.timed(&["service", "ls"])?.as_secs_f64() * 1e3);
    }
    let most = status_mib(agent, "VmHWM:")?;
    eprintln!("  the agent: {before:.1} MiB before, {most:.1} at most");
    figures.note("list_1000_ms", median(requests));
    figures.note("list_1000_client_ms", median(commands));
    figures.note("list_1000_rss_mib", most - before);
    Ok(())
}
