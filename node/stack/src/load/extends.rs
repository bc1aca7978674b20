//! `extends`: a service that begins as another one, of the same file or of another.

use std::path::PathBuf;

use super::{File, Loading, inner};
use crate::merge::merge;
use crate::tree::{Entry, Node, Place, Value};

/// Which service is extended.
struct Base {
    place: Place,
    service: String,
    file: Option<PathBuf>,
}

/// Resolves the services of a file that extend others; `above` are the files on the way to it.
pub fn resolve(loading: &Loading<'_>, mut node: Node, above: &mut Vec<PathBuf>) -> Option<Node> {
    let names: Vec<String> = inner(&node, "services")
        .map(|services| services.entries().iter().map(|entry| entry.key.clone()).collect())
        .unwrap_or_default();
    for name in names {
        let mut way = Vec::new();
        let service = service(loading, &node, &name, (above, &mut way))?;
        if let Value::Map(map) = &mut node.value
            && let Some(Node { value: Value::Map(services), .. }) = map.get_mut("services")
            && let Some(place) = services.get(&name).map(|node| node.place.clone())
        {
            services.put(Entry { place, key: name, node: service });
        }
    }
    Some(node)
}

/// A service of a file with all that it extends; `way` are the services that led to it.
fn service(
    loading: &Loading<'_>,
    file: &Node,
    name: &str,
    (above, way): (&mut Vec<PathBuf>, &mut Vec<String>),
) -> Option<Node> {
    let mut node = inner(file, "services")?.get(name)?.clone();
    let Some(base) = take_base(loading, &mut node)? else { return Some(node) };
    if way.iter().any(|before| before == name) {
        let what = format!("`{name}` extends itself: {} → {name}", way.join(" → "));
        loading.log.refuse(&base.place, what);
        return None;
    }
    way.push(name.to_owned());
    let missing = |file: &str| {
        let what = format!("`extends`: there is no service `{}`{file}", base.service);
        loading.log.refuse(&base.place, what);
    };
    let found = match &base.file {
        None => match inner(file, "services").is_some_and(|all| all.get(&base.service).is_some()) {
            true => service(loading, file, &base.service, (above, way))?,
            false => {
                missing("");
                return None;
            }
        },
        Some(path) => {
            let text = loading.read(path, &base.place)?;
            let other = loading.file(&File { path: path.clone(), text }, above)?;
            match inner(&other, "services").and_then(|all| all.get(&base.service)) {
                Some(found) => found.clone(),
                None => {
                    missing(&format!(" in {}", path.display()));
                    return None;
                }
            }
        }
    };
    way.pop();
    let mut path = vec!["services".to_owned(), name.to_owned()];
    loading.kept(merge(found, node, &mut path))
}

/// Takes `extends` out of a service: a name, or a map of `service` and `file`. `None`: a fault.
fn take_base(loading: &Loading<'_>, node: &mut Node) -> Option<Option<Base>> {
    let Value::Map(map) = &mut node.value else { return Some(None) };
    let Some(extends) = map.remove("extends") else { return Some(None) };
    let place = extends.place;
    let text = |node: Option<&Node>| match node.map(|node| &node.value) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    if let Value::Map(map) = &extends.value {
        loading.only(map, &["service", "file"], "extends")?;
    }
    match extends.value {
        Value::Text(service) => Some(Some(Base { place, service, file: None })),
        Value::Map(map) if text(map.get("service")).is_some() => {
            let service = text(map.get("service")).unwrap_or_default();
            let file = text(map.get("file")).map(PathBuf::from);
            Some(Some(Base { place, service, file }))
        }
        _ => {
            loading
                .log
                .refuse(&place, "`extends` is the name of a service, or a map with `service`");
            None
        }
    }
}
