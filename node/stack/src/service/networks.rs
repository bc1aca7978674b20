//! `networks` and `network_mode`: on which networks a service is, and under which further names.

use node_docker::service::ServiceSpec;
use node_docker::task_spec::{NetworkAttachment, PROCESS_SCHEME};

use super::container::labels;
use crate::context::Context;
use crate::fields::{Fields, Text, as_text};
use crate::tree::{Entry, Node, Place, Value};

/// The network of services that name none.
pub const DEFAULT: &str = "default";

pub fn read(fields: &mut Fields<'_>, service: &str, spec: &mut ServiceSpec, context: &Context<'_>) {
    fields.refuse(&[(
        "links",
        "the name of a service answers on every network that both are on; write further names as \
         `aliases` of its network",
    )]);
    let mode = fields.text("network_mode");
    let entries = entries(fields);
    let container = spec.task_template.container_spec.as_ref();
    let is_program = container.is_some_and(|inner| inner.image.starts_with(PROCESS_SCHEME));
    let attachments = match (mode, entries) {
        (None, None) if is_program => Vec::new(),
        (None, Some(entries)) if is_program && !entries.is_empty() => {
            let what = format!(
                "`{}`: a program of the host is on no network of the fleet: it sees its node's own",
                fields.path("networks")
            );
            context.log.refuse(&entries[0].place, what);
            Vec::new()
        }
        (Some(mode), Some(_)) => {
            let what = "`network_mode` and `networks` exclude each other";
            context.log.refuse(&mode.place, what);
            Vec::new()
        }
        (Some(mode), None) => of_mode(&mode, context),
        // The default network is that of services that say nothing, as in Compose.
        (None, None) => {
            attachment(DEFAULT, Vec::new(), &fields.place, context).into_iter().collect()
        }
        (None, Some(entries)) => {
            let path = fields.path("networks");
            let one = |entry: Entry| of_entry(entry, &path, context);
            entries.into_iter().filter_map(one).collect()
        }
    };
    spec.task_template.networks = attachments
        .into_iter()
        .map(|mut attachment| {
            if attachment.target != "host" && attachment.target != "none" {
                attachment.aliases.insert(0, service.to_owned());
            }
            attachment.aliases.dedup();
            attachment
        })
        .collect();
}

/// The networks, each with its settings: a list of names, or a map.
fn entries(fields: &mut Fields<'_>) -> Option<Vec<Entry>> {
    let path = fields.path("networks");
    let node = fields.take("networks")?;
    match node.value {
        Value::Map(map) => Some(map.entries().to_vec()),
        Value::List(items) => {
            let one = |item: Node| {
                let Text { place, text } = as_text(item, &path, fields.log())?;
                Some(Entry { node: Node::null(&place), place, key: text })
            };
            Some(items.into_iter().filter_map(one).collect())
        }
        other => {
            let what = format!("`{path}` is a list or a map, not {}", other.kind());
            fields.log().refuse(&node.place, what);
            None
        }
    }
}

fn of_mode(mode: &Text, context: &Context<'_>) -> Vec<NetworkAttachment> {
    match mode.text.as_str() {
        "host" | "none" => {
            vec![NetworkAttachment { target: mode.text.clone(), ..NetworkAttachment::default() }]
        }
        other => {
            let what = format!(
                "`network_mode`: {other:?} is of one machine: there are host and none; leave it out \
                 and write `networks`"
            );
            context.log.refuse(&mode.place, what);
            Vec::new()
        }
    }
}

fn of_entry(entry: Entry, path: &str, context: &Context<'_>) -> Option<NetworkAttachment> {
    let Entry { place, key, node } = entry;
    let mut long = Fields::of(node, format!("{path}.{key}"), context.log)?;
    let aliases = long.texts("aliases").unwrap_or_default();
    long.refuse(&[
        ("ipv4_address", "addresses belong to the fleet's plan; services are found by their names"),
        ("ipv6_address", "addresses belong to the fleet's plan; services are found by their names"),
        ("link_local_ips", "addresses belong to the fleet's plan"),
        ("mac_address", "addresses belong to the fleet's plan"),
        ("interface_name", "interfaces are named in the order of the networks"),
    ]);
    long.ignore(&[
        ("priority", "networks are attached in their order"),
        ("gw_priority", "the way out is the node's"),
    ]);
    let options = labels(&mut long, "driver_opts");
    long.finish();
    let aliases = aliases.into_iter().map(|alias| alias.text).collect();
    let mut attachment = attachment(&key, aliases, &place, context)?;
    attachment.driver_opts = options;
    Some(attachment)
}

fn attachment(
    name: &str,
    aliases: Vec<String>,
    place: &Place,
    context: &Context<'_>,
) -> Option<NetworkAttachment> {
    let Some(declared) = context.networks.get(name) else {
        let what =
            format!("the network `{name}` is not in `networks` of this file; write it there");
        context.log.refuse(place, what);
        return None;
    };
    context.used.borrow_mut().insert(name.to_owned());
    Some(NetworkAttachment {
        target: declared.name.clone(),
        aliases,
        ..NetworkAttachment::default()
    })
}
