//! The networks of a service, and those at the top of the file.

use node_docker::network::{Ipam, NetworkCreate};
use node_docker::service::ServiceSpec;
use node_docker::task_spec::PROCESS_SCHEME;

use super::keys::{Keys, node};
use super::{key, without_own};
use crate::service::DEFAULT_NETWORK;
use crate::stack::Stack;
use crate::tree::Value;

/// The networks in their order, each with its name in the fleet and its key in the file.
pub struct Networks {
    keys: Vec<(String, String)>,
    default: String,
}

impl Networks {
    /// Gives every network that is declared, or that a service is on, a key of its own.
    pub fn of(stack: &Stack) -> Networks {
        let mut keys: Vec<(String, String)> = Vec::new();
        let own = stack.networks.iter().map(|network| &network.name);
        let used = stack.services.iter().flat_map(|spec| &spec.task_template.networks);
        let used = used.map(|attachment| &attachment.target).filter(|name| !is_builtin(name));
        for (name, wanted) in own
            .map(|name| (name, key(&stack.name, name)))
            .chain(stack.external_networks.iter().chain(used).map(|name| (name, name.as_str())))
        {
            if keys.iter().any(|(other, _)| other == name) {
                continue;
            }
            let is_free = |free: &String| !keys.iter().any(|(_, other)| other == free);
            let numbered = (2..).map(|number| format!("{wanted}_{number}"));
            let free = std::iter::once(wanted.to_owned()).chain(numbered).find(is_free);
            keys.push((name.clone(), free.unwrap_or_default()));
        }
        let default = format!("{}_{DEFAULT_NETWORK}", stack.name);
        let is_own = stack.networks.iter().any(|network| network.name == default);
        Networks { keys, default: if is_own { default } else { String::new() } }
    }

    /// `networks` or `network_mode` of a service.
    pub fn write(&self, spec: &ServiceSpec, service: &str, keys: &mut Keys) {
        let attachments = &spec.task_template.networks;
        if let Some(builtin) = attachments.iter().find(|one| is_builtin(&one.target)) {
            return keys.text("network_mode", &builtin.target);
        }
        let container = spec.task_template.container_spec.as_ref();
        let is_program = container.is_some_and(|inner| inner.image.starts_with(PROCESS_SCHEME));
        if is_program && attachments.is_empty() {
            return;
        }
        let (mut all, mut is_silent) = (Keys::default(), attachments.len() == 1);
        for attachment in attachments {
            let further = match attachment.aliases.split_first() {
                Some((first, further)) if first == service => further,
                _ => &attachment.aliases[..],
            };
            let mut one = Keys::default();
            one.texts("aliases", further.iter().cloned());
            one.pairs("driver_opts", &attachment.driver_opts);
            let is_plain = further.is_empty() && attachment.driver_opts.is_empty();
            is_silent &= is_plain && attachment.target == self.default;
            let found = self.keys.iter().find(|(name, _)| *name == attachment.target);
            all.map(found.map_or(&attachment.target, |(_, key)| key), one);
        }
        // Who says nothing is on the default network of the stack.
        if !is_silent {
            keys.map("networks", all);
        }
    }

    /// The key `networks` at the top.
    pub fn declared(&self, stack: &Stack) -> Keys {
        let mut all = Keys::default();
        for (name, key) in &self.keys {
            match stack.networks.iter().find(|network| network.name == *name) {
                Some(network) => all.map(key, own(network, key, stack)),
                None => {
                    let mut inner = Keys::default();
                    inner.text("external", "true");
                    if name != key {
                        inner.text("name", name);
                    }
                    all.map(key, inner);
                }
            }
        }
        all
    }
}

fn is_builtin(name: &str) -> bool {
    name == "host" || name == "none"
}

fn own(network: &NetworkCreate, key: &str, stack: &Stack) -> Keys {
    let mut keys = Keys::default();
    if network.name != format!("{}_{key}", stack.name) {
        keys.text("name", &network.name);
    }
    keys.truths(&[
        ("enable_ipv6", network.enable_ipv6 == Some(true)),
        ("internal", network.internal),
        ("attachable", network.attachable),
    ]);
    if network.enable_ipv4 == Some(false) {
        keys.text("enable_ipv4", "false");
    }
    keys.pairs("driver_opts", &network.options);
    keys.pairs("labels", &without_own(&network.labels, &stack.name));
    if let Some(ipam) = &network.ipam {
        keys.map("ipam", addresses(ipam));
    }
    keys
}

fn addresses(ipam: &Ipam) -> Keys {
    let mut keys = Keys::default();
    keys.filled("driver", &ipam.driver);
    let one = |config: &node_docker::network::IpamConfig| {
        let mut inner = Keys::default();
        inner.filled("subnet", &config.subnet);
        inner.filled("ip_range", &config.ip_range);
        inner.filled("gateway", &config.gateway);
        inner.pairs("aux_addresses", &config.auxiliary_addresses);
        node(inner.into_value())
    };
    if !ipam.config.is_empty() {
        keys.put("config", Value::List(ipam.config.iter().map(one).collect()));
    }
    keys
}
