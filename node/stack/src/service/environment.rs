//! Variables: those of files, and on top of them those that are written.

use std::collections::BTreeMap;
use std::path::Path;

use node_docker::service::ServiceSpec;

use crate::context::Context;
use crate::env_file;
use crate::fields::{Fields, as_text};
use crate::tree::{Node, Place, Value};

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec, context: &Context<'_>) {
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let path = fields.path("env_file");
    for item in fields.items("env_file").unwrap_or_default() {
        let found = of_file(item, &path, context);
        variables.extend(found.unwrap_or_default());
    }
    for pair in fields.pairs("environment").unwrap_or_default() {
        if pair.name.is_empty() {
            fields.log().refuse(&pair.place, "a variable without a name");
            continue;
        }
        // A name alone takes its value from whoever deploys, or is not there at all.
        match pair.value.or_else(|| context.variables.get(&pair.name).cloned()) {
            Some(value) => variables.insert(pair.name, value),
            None => variables.remove(&pair.name),
        };
    }
    let container = spec.task_template.container_spec.get_or_insert_default();
    container.env = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
}

/// A file of variables: its path, or a map of `path`, `required` and `format`.
fn of_file(item: Node, path: &str, context: &Context<'_>) -> Option<BTreeMap<String, String>> {
    let place = item.place.clone();
    let (mut is_required, mut is_raw) = (true, false);
    let file = match item.value {
        Value::Map(_) => {
            let mut long = Fields::of(item, path.to_owned(), context.log)?;
            let file = long.string("path");
            is_required = long.flag("required").unwrap_or(true);
            is_raw = long
                .read("format", |word| match word {
                    "raw" => Ok(true),
                    other => Err(format!("{other:?} is no format: leave it out, or write raw")),
                })
                .unwrap_or_default();
            long.finish();
            file?
        }
        _ => as_text(item, path, context.log)?.text,
    };
    let text = match context.files.read(Path::new(&file)) {
        Ok(text) => text,
        Err(_) if !is_required => return None,
        Err(why) => return refuse(&place, format!("`{path}`: {why}"), context),
    };
    let form = if is_raw { env_file::Form::Raw } else { env_file::Form::Quoted };
    match env_file::parse(&text, form, context.variables) {
        Ok(pairs) => Some(pairs),
        Err(bad) => refuse(&place, format!("`{path}`: {file}, {bad}"), context),
    }
}

fn refuse<T>(place: &Place, what: String, context: &Context<'_>) -> Option<T> {
    context.log.refuse(place, what);
    None
}
