//! `configs` and `secrets` of a service: which files its tasks get.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use node_docker::config::{ConfigReference, FileTarget, SecretReference};
use node_docker::service::ServiceSpec;

use super::mounts::mode;
use crate::configs::{CONFIGS, SECRETS};
use crate::context::{Context, Declared};
use crate::fields::{Fields, Text, as_text, number};
use crate::tree::{Node, Place, Value};

/// Docker's permissions of a file that is given none.
const MODE: u32 = 0o444;

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec, context: &Context<'_>) {
    let configs = files(fields, (CONFIGS, &context.configs, &context.used_configs), context);
    let secrets = files(fields, (SECRETS, &context.secrets, &context.used_secrets), context);
    let container = spec.task_template.container_spec.get_or_insert_default();
    container.configs = configs;
    container.secrets = secrets.into_iter().map(SecretReference::from).collect();
}

/// The key in a service, what the file has under it, and what of that is used.
type Known<'a> = (&'static str, &'a BTreeMap<String, Declared>, &'a RefCell<BTreeSet<String>>);

fn files(fields: &mut Fields<'_>, known: Known<'_>, context: &Context<'_>) -> Vec<ConfigReference> {
    let path = fields.path(known.0);
    let items = fields.items(known.0).unwrap_or_default();
    let mut files: Vec<ConfigReference> = Vec::new();
    for item in items {
        let place = item.place.clone();
        let Some(file) = of_item(item, (&path, known), context) else { continue };
        let target = |one: &ConfigReference| one.file.as_ref().map(|file| file.name.clone());
        if files.iter().any(|other| target(other) == target(&file)) {
            let what = format!("`{path}`: two files at {}", target(&file).unwrap_or_default());
            context.log.refuse(&place, what);
            continue;
        }
        files.push(file);
    }
    files
}

fn of_item(
    item: Node,
    (path, known): (&str, Known<'_>),
    context: &Context<'_>,
) -> Option<ConfigReference> {
    let place = item.place.clone();
    let mut file = FileTarget { name: String::new(), uid: "0".into(), gid: "0".into(), mode: MODE };
    let source = match item.value {
        Value::Map(_) => {
            let mut long = Fields::of(item, path.to_owned(), context.log)?;
            let source = long.text("source");
            file.name = long.string("target").unwrap_or_default();
            for (key, owner) in [("uid", &mut file.uid), ("gid", &mut file.gid)] {
                if let Some(id) = long.read(key, number) {
                    *owner = id.to_string();
                }
            }
            file.mode = long.read("mode", mode).unwrap_or(MODE);
            long.finish();
            source.or_else(|| missing(&place, path, context))?
        }
        _ => as_text(item, path, context.log)?,
    };
    let Text { place, text: source } = source;
    let (kind, declared, used) = known;
    let Some(declared) = declared.get(&source) else {
        let one = kind.trim_end_matches('s');
        let what = format!("the {one} `{source}` is not in `{kind}` of this file; write it there");
        context.log.refuse(&place, what);
        return None;
    };
    used.borrow_mut().insert(source.clone());
    if file.name.is_empty() {
        file.name = source;
    }
    // The agent looks its id up.
    let config_id = String::new();
    Some(ConfigReference { file: Some(file), config_id, config_name: declared.name.clone() })
}

fn missing<T>(place: &Place, path: &str, context: &Context<'_>) -> Option<T> {
    context.log.refuse(place, format!("`{path}`: `source` is missing"));
    None
}
