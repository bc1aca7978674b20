//! `configs` of a service: which files its tasks get.

use node_docker::config::{ConfigReference, FileTarget};
use node_docker::service::ServiceSpec;

use super::mounts::mode;
use crate::context::Context;
use crate::fields::{Fields, Text, as_text, number};
use crate::tree::{Node, Place, Value};

/// Docker's permissions of a file that is given none.
const MODE: u32 = 0o444;

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec, context: &Context<'_>) {
    let path = fields.path("configs");
    let items = fields.items("configs").unwrap_or_default();
    let mut files: Vec<ConfigReference> = Vec::new();
    for item in items {
        let place = item.place.clone();
        let Some(file) = of_item(item, &path, context) else { continue };
        let target = |one: &ConfigReference| one.file.as_ref().map(|file| file.name.clone());
        if files.iter().any(|other| target(other) == target(&file)) {
            let what = format!("`{path}`: two files at {}", target(&file).unwrap_or_default());
            context.log.refuse(&place, what);
            continue;
        }
        files.push(file);
    }
    spec.task_template.container_spec.get_or_insert_default().configs = files;
}

fn of_item(item: Node, path: &str, context: &Context<'_>) -> Option<ConfigReference> {
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
    let Some(declared) = context.configs.get(&source) else {
        let what =
            format!("the config `{source}` is not in `configs` of this file; write it there");
        context.log.refuse(&place, what);
        return None;
    };
    context.used_configs.borrow_mut().insert(source.clone());
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
