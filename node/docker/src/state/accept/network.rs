//! The networks of a service, and how its name is answered on them.
//!
//! Networks are named by their ids here: names are looked up before, where the fleet is known.

use std::collections::BTreeSet;

use crdt_state::NetworkId;
use crdt_state::interface::InterfaceOptions;
use crdt_state::network::{Attachment, Attachments};
use crdt_state::spec::{Endpoint, NetworkMode};

use super::super::BadSpec;
use super::{bad_value, bad_word};
use crate::task_spec::{NetworkAttachment, TaskSpec};

/// The networks of a service.
pub(super) struct Networks {
    /// Those of the fleet.
    pub(super) attachments: Attachments,
    /// The network of the template.
    mode: NetworkMode,
}

/// Reads the networks of a service.
pub(super) fn accept(task: &TaskSpec) -> Result<Networks, BadSpec> {
    let mode = accept_mode_of(&task.networks)?;
    let fleet = task.networks.iter().filter(|sent| !is_builtin(&sent.target));
    let attachments = fleet.map(accept_attachment).collect::<Result<Attachments, _>>()?;
    for (at, attachment) in attachments.iter().enumerate() {
        if attachments[..at].iter().any(|other| other.network == attachment.network) {
            let hint = "the service is on it already; leave it out once";
            return Err(bad_value("Networks.Target", &attachment.network.to_string(), hint));
        }
    }
    check_interfaces(&attachments)?;
    Ok(Networks { attachments, mode })
}

/// The network of the template: the node's own without any, `none` with networks of the fleet.
pub(super) fn accept_mode_of(sent: &[NetworkAttachment]) -> Result<NetworkMode, BadSpec> {
    let Some(first) = sent.first() else { return Ok(NetworkMode::Host) };
    if let Some(builtin) = sent.iter().find(|one| is_builtin(&one.target)) {
        if let Some(other) = sent.iter().find(|other| other.target != builtin.target) {
            return Err(BadSpec::TwoNetworks(builtin.target.clone(), other.target.clone()));
        }
        if let Some(alias) = builtin.aliases.first() {
            let hint =
                format!("the network `{}` has no names; leave the alias out", builtin.target);
            return Err(bad_value("Networks.Aliases", alias, &hint));
        }
        if let Some(option) = builtin.driver_opts.keys().next() {
            let hint = format!(
                "on the network `{}` a task has no interface of its own; leave the option out",
                builtin.target
            );
            return Err(bad_value("Networks.DriverOpts", option, &hint));
        }
    }
    Ok(if first.target == "host" { NetworkMode::Host } else { NetworkMode::None })
}

fn accept_attachment(sent: &NetworkAttachment) -> Result<Attachment, BadSpec> {
    let network: NetworkId =
        sent.target.parse().map_err(|_| BadSpec::NoSuchNetwork(sent.target.clone()))?;
    if let Some(alias) = sent.aliases.iter().find(|alias| !is_label(alias)) {
        let hint = "an alias is a name of a host: letters, digits, `-`, `_` and dots, at most 63";
        return Err(bad_value("Networks.Aliases", alias, hint));
    }
    Ok(Attachment { network, aliases: sent.aliases.clone(), options: sent.driver_opts.clone() })
}

/// Are the options of all interfaces known ones, and their names different?
fn check_interfaces(attachments: &Attachments) -> Result<(), BadSpec> {
    let mut names = BTreeSet::new();
    for attachment in attachments {
        let options = InterfaceOptions::read(&attachment.options).map_err(BadSpec::Interface)?;
        if let Some(name) = options.name.filter(|name| !names.insert(name.clone())) {
            let hint = "two interfaces of a task cannot have one name; give another one";
            return Err(bad_value("Networks.DriverOpts", &name, hint));
        }
    }
    Ok(())
}

/// Reads the mode of the endpoint: do names lead to the tasks?
pub(super) fn accept_mode(
    mode: &str,
    networks: &Networks,
    endpoint: &Endpoint,
) -> Result<bool, BadSpec> {
    let in_mesh = endpoint.ports.iter().find(|port| !port.host);
    let refused = |value: &str, hint: &str| Err(bad_value("EndpointSpec.Mode", value, hint));
    match (mode, in_mesh) {
        ("" | "vip", Some(port)) if networks.attachments.is_empty() => {
            let value = format!("{}:{}", port.published, port.target);
            let name = if networks.mode == NetworkMode::Host { "host" } else { "none" };
            let hint = format!(
                "a port of every node leads to a network of the fleet, and this service is on the \
                 network `{name}`; leave --network out, or publish it with mode=host"
            );
            Err(bad_value("EndpointSpec.Ports", &value, &hint))
        }
        ("" | "vip", _) => Ok(false),
        ("dnsrr", Some(_)) => refused(
            "dnsrr",
            "a port of every node needs the mode vip; publish it with mode=host, or leave the mode \
             out",
        ),
        ("dnsrr", None) => Ok(true),
        (other, _) => Err(bad_word("EndpointSpec.Mode", other, "vip, dnsrr")),
    }
}

fn is_builtin(target: &str) -> bool {
    matches!(target, "host" | "none")
}

fn is_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=63).contains(&name.len()) && name.chars().all(inner)
}
