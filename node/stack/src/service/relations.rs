//! `depends_on`: what has to run before.

use node_docker::service::ServiceSpec;

use crate::context::Context;
use crate::fields::{Fields, Text, as_text};
use crate::tree::{Entry, Node, Value};

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec, context: &Context<'_>) {
    let path = fields.path("depends_on");
    let Some(node) = fields.take("depends_on") else { return };
    let entries: Vec<Entry> = match node.value {
        Value::Map(map) => map.entries().to_vec(),
        Value::List(items) => {
            let one = |item: Node| {
                let Text { place, text } = as_text(item, &path, context.log)?;
                Some(Entry { node: Node::null(&place), place, key: text })
            };
            items.into_iter().filter_map(one).collect()
        }
        other => {
            let what = format!("`{path}` is a list or a map, not {}", other.kind());
            context.log.refuse(&node.place, what);
            return;
        }
    };
    let names = entries.into_iter().filter_map(|entry| of_entry(entry, &path, context));
    spec.depends_on = Some(names.collect());
}

fn of_entry(entry: Entry, path: &str, context: &Context<'_>) -> Option<String> {
    let Entry { place, key, node } = entry;
    let mut long = Fields::of(node, format!("{path}.{key}"), context.log)?;
    let condition = long.string("condition").unwrap_or_default();
    let is_required = long.flag("required").unwrap_or(true);
    long.ignore(&[("restart", "nothing that runs is stopped for what it depends on")]);
    long.finish();
    let conditions = ["", "service_started", "service_healthy", "service_completed_successfully"];
    if !conditions.contains(&condition.as_str()) {
        let what = format!("`{path}.{key}.condition`: there are {}", conditions[1..].join(", "));
        context.log.refuse(&place, what);
    }
    if context.services.contains(&key) {
        return Some(context.full_name(&key));
    }
    if !is_required {
        return None;
    }
    let what = match context.left_out.contains(&key) {
        true => format!("`{path}`: `{key}` is left out: none of its profiles is asked for"),
        false => format!("`{path}`: there is no service `{key}`"),
    };
    context.log.refuse(&place, what);
    None
}
