//! What the demo runs. As root: containers of one network, a web page on a published port that
//! counts its visits in a redis, which it asks by name. Otherwise: programs of this machine, each
//! on a port of its own.
//!
//! It must never try again what a visitor would have seen fail.

use super::print::{say, typed};
use crate::examples;
use crate::fleet::place::{Place, Running};
use crate::fleet::service::{self, Kind};
use crate::fleet::view::Task;
use crate::fleet::{Fleet, Links, Node};
use crate::repo;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::time::Duration;

/// The port of the page, at every node.
const PORT: &str = "8080";
/// The images, which `cargo xtask examples` also makes.
const IMAGES: [&str; 2] = ["redis", "visits"];
/// Visits to every node until each task must have answered: with equal shares the chance that one
/// of eight has not is 1 in 50,000.
const VISITS_MAX: usize = 100;

/// The fleet, and what it runs.
pub struct Shop<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// What the tasks run as.
    pub kind: Kind,
}

impl<'a> Shop<'a> {
    /// Chooses containers where they can be had.
    pub fn on(fleet: &'a Fleet) -> Shop<'a> {
        let containers = fleet.links == Links::Namespaces && repo::program("apt-get").is_some();
        let kind = if containers { Kind::Container } else { Kind::Process };
        Shop { fleet, kind }
    }

    /// Of how many tasks it consists, with so many of the web service.
    pub fn tasks(&self, web: usize) -> usize {
        match self.kind {
            Kind::Container => web + 1,
            Kind::Process => web,
        }
    }

    /// Creates the services, with so many tasks of the web service.
    pub fn open(&self, web: usize) -> Result<()> {
        match self.kind {
            Kind::Container => self.open_containers(&web.to_string()),
            Kind::Process => self.open_programs(&web.to_string()),
        }
    }

    fn open_containers(&self, replicas: &str) -> Result<()> {
        let [first, second, third] = [0, 1, 2].map(|at| &self.fleet.nodes[at]);
        say("redis and a small web server, made from Debian's packages, without a registry:");
        for name in IMAGES {
            typed(&first.name, &format!("edgectl image push {name}.tar"));
            let archive = examples::archive(name)?;
            let archive = archive.to_str().context("the target folder is no text")?;
            self.fleet.edgectl(first, &["image", "push", archive])?;
        }
        typed(&first.name, "edgectl network create back");
        self.fleet.edgectl(first, &["network", "create", "back"])?;
        for node in [second, third] {
            self.fleet.wait(&format!("{} knows the network", node.name), super::TIMEOUT, || {
                self.fleet.get(node, "/networks/back").map(|_| true)
            })?;
        }
        let create = ["service", "create", "--name"];
        typed(&second.name, "edgectl service create --name redis --network back redis:example");
        let redis = ["redis", "--detach", "--network", "back", "redis:example"];
        self.fleet.edgectl(second, &[&create[..], &redis].concat())?;
        typed(&third.name, "edgectl service create --name web --network back \\");
        let published = format!("{PORT}:80");
        say(&format!("        --replicas {replicas} --publish {published} … visits:example"));
        let web = ["web", "--detach", "--network", "back", "--replicas", replicas];
        // As process 1 of its namespace a program without a handler ignores SIGTERM.
        let rest = ["--publish", &published, "--init", "--env", "TASK=web.{{.Task.Slot}}"];
        let image = ["--env", "NODE={{.Node.Hostname}}", "visits:example"];
        self.fleet.edgectl(third, &[&create[..], &web, &rest, &image].concat()).map(drop)
    }

    fn open_programs(&self, replicas: &str) -> Result<()> {
        say(match self.fleet.links {
            Links::Loopback => "not root: no containers and no network of their own;",
            Links::Namespaces => "no apt-get here, from whose packages images would be made;",
        });
        say("the tasks are programs of this machine, each on a port of its own");
        let program = service::Program::process(self.fleet)?;
        let node = &self.fleet.nodes[1];
        let image = &program.image;
        typed(&node.name, "edgectl service create --name web \\");
        say(&format!("        --replicas {replicas} … {image} httpd …"));
        let mut words = vec!["service", "create", "--detach", "--name", service::NAME];
        words.extend(["--replicas", replicas]);
        for variable in service::ENVIRONMENT {
            words.extend(["--env", variable]);
        }
        words.push(image);
        words.extend(program.arguments.iter().map(String::as_str));
        self.fleet.edgectl(node, &words).map(drop)
    }

    /// Asks at these nodes until every running task has answered. No request may fail.
    pub fn answers(&self, from: &[&Node]) -> Result<()> {
        let tasks = self.serving(from[0])?;
        let web: Vec<&Task> = tasks.iter().filter(|task| task.name.starts_with("web.")).collect();
        match self.kind {
            Kind::Container => self.page_answers(from, &web),
            Kind::Process => self.each_answers(from[0], &web),
        }
    }

    fn page_answers(&self, from: &[&Node], tasks: &[&Task]) -> Result<()> {
        let expected: BTreeSet<String> =
            tasks.iter().map(|task| format!("{} on {}", task.name, task.node)).collect();
        let (mut seen, mut count) = (BTreeSet::new(), 0);
        for round in 0..VISITS_MAX {
            for node in from {
                let page = self.visit(node)?;
                count += 1;
                if round == 0 {
                    say(&format!("  {}:{PORT}  {page}", node.name));
                }
                let (_, who) = page.split_once("answered by ").context("the page names nobody")?;
                seen.insert(who.to_owned());
            }
            if seen == expected {
                let tasks = expected.len();
                say(&format!("{count} requests, each answered; all {tasks} tasks took part"));
                return Ok(());
            }
        }
        anyhow::bail!("{count} requests were answered by {seen:?} and not by {expected:?}")
    }

    /// One request, as anybody could send it to the node.
    fn visit(&self, node: &Node) -> Result<String> {
        let url = format!("http://{}:{PORT}/", node.address);
        self.fleet
            .on_node(node, &["curl", "--silent", "--show-error", "--fail", "--max-time", "3", &url])
    }

    /// Asks every task at its own port for its name.
    fn each_answers(&self, from: &Node, tasks: &[&Task]) -> Result<()> {
        for task in tasks {
            let answer = self.ask(from, task)?;
            let expected = format!("{} on {}", task.name, task.node);
            ensure!(answer == expected, "{} answered `{answer}`", task.name);
        }
        say(&format!("each of the {} answers over HTTP, asked from {}", tasks.len(), from.name));
        Ok(())
    }

    /// Retries: without a health check a program that was just started may not listen yet.
    fn ask(&self, from: &Node, task: &Task) -> Result<String> {
        let owner = self.fleet.nodes.iter().find(|node| task.is_on(&node.name));
        let address = owner.map(|node| node.address.as_str()).unwrap_or_default();
        let url = format!("http://{address}:{}/cgi-bin/who", service::port(task.slot));
        let mut answer = String::new();
        self.fleet.wait(&format!("{url} answers"), Duration::from_secs(5), || {
            let curl = ["curl", "--silent", "--fail", "--max-time", "2", &url];
            answer = self.fleet.on_node(from, &curl)?;
            Ok(true)
        })?;
        Ok(answer)
    }

    /// Four visitors of the page at this node, which do not stop until they are told to.
    pub fn visitors(&self, node: &Node) -> Result<Running> {
        let place = Place::of_node(self.fleet, node);
        let pace = ["--clients", "4", "--pace-ms", "200"];
        place.start_load(&[&["pull", &node.address, PORT], &pace[..]].concat())
    }

    /// The tasks that run and are healthy, as this node sees it.
    pub fn serving(&self, node: &Node) -> Result<Vec<Task>> {
        Ok(self.fleet.tasks(node)?.into_iter().filter(Task::is_serving).collect())
    }
}
