//! How a service is reached: the mode of its endpoint, and its published ports.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::container;
use super::networks::is_alone;
use crate::failure::Failure;
use crate::value::{self, PortPattern, Published};
use node_docker::service::{EndpointSpec, PortConfig, ServiceSpec};

/// The ports of a new service.
#[derive(Debug, Default, Args)]
pub struct NewPorts {
    /// Port of every node: 8080:80, 53:53/udp, 8000-8009:80-89, or 80 to have a number chosen; only
    /// of the nodes that run it: mode=host,published=8080,target=80
    #[arg(short, long, value_name = "PORT", value_parser = value::published,
        help_heading = "Network")]
    publish: Vec<Published>,
}

/// What changes in the ports of a service.
#[derive(Debug, Default, Args)]
pub struct PortChanges {
    /// Add a port
    #[arg(long, value_name = "PORT", value_parser = value::published, help_heading = "Network")]
    publish_add: Vec<Published>,
    /// Remove a port, by the number that the task uses: 80, 80/udp, 8080:80
    #[arg(long, value_name = "TARGET", value_parser = value::port_pattern,
        help_heading = "Network")]
    publish_rm: Vec<PortPattern>,
}

/// What its name leads to.
#[derive(Debug, Default, Args)]
pub struct EndpointFlags {
    /// Whether its name leads to one virtual address, or to those of its tasks [default: vip]
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["vip", "dnsrr"]),
        help_heading = "Network")]
    endpoint_mode: Option<String>,
}

impl EndpointFlags {
    /// Sets the mode, if it is given.
    pub fn apply(&self, endpoint: &mut Option<EndpointSpec>) {
        if let Some(mode) = &self.endpoint_mode {
            endpoint.get_or_insert_default().mode.clone_from(mode);
        }
    }
}

impl NewPorts {
    /// Sets the ports.
    pub fn apply(&self, endpoint: &mut Option<EndpointSpec>) {
        if !self.publish.is_empty() {
            add(&mut endpoint.get_or_insert_default().ports, &self.publish);
        }
    }
}

impl PortChanges {
    /// Makes the changes.
    pub fn apply(&self, endpoint: &mut Option<EndpointSpec>) {
        if self.publish_add.is_empty() && self.publish_rm.is_empty() {
            return;
        }
        let ports = &mut endpoint.get_or_insert_default().ports;
        ports.retain(|port| !self.publish_rm.iter().any(|removed| removed.fits(port)));
        add(ports, &self.publish_add);
    }
}

/// Does everything fit to the networks? The agent says the same in the words of the spec.
pub fn check(spec: &ServiceSpec) -> Result<(), Failure> {
    let image = spec.task_template.container_spec.as_ref().map_or("", |c| c.image.as_str());
    let networks = &spec.task_template.networks;
    let is_program = container::program(image).is_some();
    if let Some(network) = networks.iter().find(|network| is_program && !is_alone(network)) {
        return Err(Failure::new("a program of the host is on no network of the fleet")
            .why("it sees its node's own network, as every program there")
            .hint(format!("leave the network {} out", network.target)));
    }
    let why = match networks.iter().find(|network| is_alone(network)) {
        _ if is_program => "it is on its node's own network, where only that node leads to it",
        Some(network) if network.target == "host" => "the service is on the network host",
        Some(_) => "the service is on the network none",
        None => return Ok(()),
    };
    let mut ports = spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports);
    let Some(port) = ports.find(|port| port.publish_mode == "ingress") else { return Ok(()) };
    let target = port.target_port;
    let published = if port.published_port == 0 { target } else { port.published_port };
    Err(Failure::new(format!("port {published} of every node needs a network of the fleet"))
        .why(why)
        .hint(format!("mode=host,published={published},target={target} for this port")))
}

/// A port that is there already is not added twice.
fn add(ports: &mut Vec<PortConfig>, added: &[Published]) {
    for port in added.iter().flat_map(|Published(ports)| ports) {
        // A number that was chosen for it stays.
        let is_there = ports.iter().any(|held| {
            let published_port = if port.published_port == 0 { 0 } else { held.published_port };
            PortConfig { published_port, ..held.clone() } == *port
        });
        if !is_there {
            ports.push(port.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ports: PortChanges,
        #[command(flatten)]
        endpoint: EndpointFlags,
    }

    fn show(port: &PortConfig) -> String {
        format!("{}:{}/{}", port.published_port, port.target_port, port.protocol)
    }

    fn after(line: &str) -> Result<Option<EndpointSpec>, String> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let Published(mut ports) = value::published("8080:80").expect("valid");
        ports.extend(value::published("mode=host,published=53,target=53").expect("valid").0);
        let mut endpoint = Some(EndpointSpec { mode: "vip".to_owned(), ports });
        line.endpoint.apply(&mut endpoint);
        line.ports.apply(&mut endpoint);
        Ok(endpoint)
    }

    fn ports(line: &str) -> Vec<String> {
        after(line).expect(line).expect("an endpoint").ports.iter().map(show).collect()
    }

    #[test]
    fn ports_are_added_and_removed() {
        assert_eq!(ports("--publish-add 8080:80"), ["8080:80/tcp", "53:53/tcp"]);
        assert_eq!(ports("--publish-rm 80 --publish-rm 53"), Vec::<String>::new());
        assert_eq!(
            ports("--publish-rm 8080:80 --publish-add 8081:80"),
            ["53:53/tcp", "8081:80/tcp"]
        );
        assert_eq!(ports("--publish-add 1-2:1-2/udp")[2..], ["1:1/udp", "2:2/udp"]);
        assert_eq!(ports("--publish-add 80 --publish-add 81")[2..], ["0:81/tcp"]);
    }

    #[test]
    fn the_mode_changes_alone() {
        let endpoint = after("--endpoint-mode dnsrr").expect("valid").expect("an endpoint");
        assert_eq!((endpoint.mode.as_str(), endpoint.ports.len()), ("dnsrr", 2));
        assert!(after("--endpoint-mode dns").expect_err("no such mode").contains("vip, dnsrr"));
    }

    #[test]
    fn removing_a_port_that_is_not_there_changes_nothing() {
        for line in ["--publish-rm 8080", "--publish-rm 80/udp", "--publish-rm 81:80"] {
            assert_eq!(ports(line), ["8080:80/tcp", "53:53/tcp"], "{line}");
        }
    }
}
