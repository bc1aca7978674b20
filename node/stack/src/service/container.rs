//! What runs: image, command, user, rights and the rest of a container.

use std::path::Path;

use node_docker::Nanos;
use node_docker::container_spec::{ContainerSpec, DeviceMapping, DnsConfig, EdgeContainer, Ulimit};
use node_docker::service::ServiceSpec;
use node_docker::task_spec::LogDriver;
use node_values as values;

use crate::context::Context;
use crate::fields::{Fields, Text, as_text};
use crate::tree::{Entry, Node, Place, Value};

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec, context: &Context<'_>) {
    let container = spec.task_template.container_spec.get_or_insert_default();
    image(fields, container);
    words(fields, container);
    container.labels = labels(fields, "labels");
    container.user = fields.string("user").unwrap_or_default();
    container.dir = fields.string("working_dir").unwrap_or_default();
    container.hostname = fields.string("hostname").unwrap_or_default();
    container.stop_signal = fields.read("stop_signal", values::signal).unwrap_or_default();
    container.stop_grace_period = fields.read("stop_grace_period", nanos);
    container.init = fields.flag("init").filter(|init| *init);
    container.tty = fields.flag("tty").unwrap_or_default();
    container.open_stdin = fields.flag("stdin_open").unwrap_or_default();
    container.read_only = fields.flag("read_only").unwrap_or_default();
    container.groups = strings(fields, "group_add");
    container.oom_score_adj =
        fields.read("oom_score_adj", values::oom_score_adj).unwrap_or_default();
    container.hosts = hosts(fields);
    dns(fields, container);
    rights(fields, container, context);
    kernel(fields, container);
    spec.task_template.log_driver = logging(fields);
    pre_start(fields, spec, context);
}

/// A duration as Docker's API has it.
pub fn nanos(text: &str) -> Result<Nanos, String> {
    let duration = values::duration(text).map_err(|bad| bad.to_string())?;
    i64::try_from(duration.as_nanos()).map(Nanos).map_err(|_| format!("{text:?} is too long"))
}

/// Names with values; a name alone has the empty value, as in Docker.
pub fn labels(
    fields: &mut Fields<'_>,
    key: &'static str,
) -> std::collections::BTreeMap<String, String> {
    let pairs = fields.pairs(key).unwrap_or_default();
    pairs.into_iter().map(|pair| (pair.name, pair.value.unwrap_or_default())).collect()
}

fn strings(fields: &mut Fields<'_>, key: &'static str) -> Vec<String> {
    fields.texts(key).unwrap_or_default().into_iter().map(|text| text.text).collect()
}

fn image(fields: &mut Fields<'_>, container: &mut ContainerSpec) {
    let image = fields.text("image").filter(|image| !image.text.is_empty());
    let builds = fields.take("build");
    match (image, builds) {
        (Some(image), builds) => {
            container.image = image.text;
            if let Some(build) = builds {
                let what = format!(
                    "`{}` has no effect: the image {} is pulled; build and push it before",
                    fields.path("build"),
                    container.image
                );
                fields.log().note(&build.place, what);
            }
        }
        (None, Some(build)) => fields.log().refuse(
            &build.place,
            format!(
                "`{}`: images are not built here; build and push one, and name it as `image`",
                fields.path("build")
            ),
        ),
        (None, None) => {
            let what = format!("`{}` is missing", fields.path("image"));
            fields.log().refuse(&fields.place, what);
        }
    }
}

/// `entrypoint` and `command`: words, or a text that is split as a shell does.
fn words(fields: &mut Fields<'_>, container: &mut ContainerSpec) {
    let entrypoint = command(fields, "entrypoint");
    let command = command(fields, "command");
    match (entrypoint, command) {
        // Nothing in front of the command: its first word is the program.
        (Some((place, words)), command) if words.is_empty() => match command {
            Some((_, words)) if !words.is_empty() => {
                container.command = words[..1].to_vec();
                container.args = words[1..].to_vec();
            }
            _ => fields.log().refuse(
                &place,
                format!(
                    "`{}` is empty: then the program has to be the first word of `command`",
                    fields.path("entrypoint")
                ),
            ),
        },
        (None, Some((place, words))) if words.is_empty() => fields.log().refuse(
            &place,
            format!(
                "`{}` is empty, which takes the image's own command away: write its `entrypoint` too",
                fields.path("command")
            ),
        ),
        (entrypoint, command) => {
            container.command = entrypoint.map(|(_, words)| words).unwrap_or_default();
            container.args = command.map(|(_, words)| words).unwrap_or_default();
        }
    }
}

fn command(fields: &mut Fields<'_>, key: &'static str) -> Option<(Place, Vec<String>)> {
    let node = fields.take(key)?;
    let place = node.place.clone();
    let path = fields.path(key);
    of_words(node, &path, fields).map(|words| (place, words))
}

/// Words: a list, or a text that is split as a shell does.
fn of_words(node: Node, path: &str, fields: &Fields<'_>) -> Option<Vec<String>> {
    match node.value {
        Value::List(items) => {
            let texts = items.into_iter().map(|item| as_text(item, path, fields.log()));
            texts.map(|text| text.map(|text| text.text)).collect()
        }
        Value::Text(text) => {
            let words = shlex::split(&text);
            if words.is_none() {
                let what = format!("`{path}`: a quote in {text:?} is never closed");
                fields.log().refuse(&node.place, what);
            }
            words
        }
        other => {
            let what = format!("`{path}` is a text or a list of words, not {}", other.kind());
            fields.log().refuse(&node.place, what);
            None
        }
    }
}

fn hosts(fields: &mut Fields<'_>) -> Vec<String> {
    let Some(node) = fields.take("extra_hosts") else { return Vec::new() };
    let path = fields.path("extra_hosts");
    let lines: Vec<Text> = match node.value {
        Value::Map(map) => {
            let text = |name: &str, node: Node| {
                let Text { place, text } = as_text(node, &path, fields.log())?;
                Some(Text { place, text: format!("{name}={text}") })
            };
            // A name may have several addresses.
            let of_name = |entry: &Entry| match &entry.node.value {
                Value::List(items) => items.clone(),
                _ => vec![entry.node.clone()],
            };
            let entries = map.entries().iter();
            entries
                .flat_map(|entry| of_name(entry).into_iter().map(|node| (&entry.key, node)))
                .filter_map(|(name, node)| text(name, node))
                .collect()
        }
        Value::List(items) => {
            items.into_iter().filter_map(|item| as_text(item, &path, fields.log())).collect()
        }
        other => {
            let what = format!("`{path}` is a map or a list, not {}", other.kind());
            fields.log().refuse(&node.place, what);
            return Vec::new();
        }
    };
    let read = |Text { place, text }: Text| {
        fields.log().ok(&place, values::extra_host(&text).map_err(|bad| format!("`{path}`: {bad}")))
    };
    lines.into_iter().filter_map(read).collect()
}

fn dns(fields: &mut Fields<'_>, container: &mut ContainerSpec) {
    let config = DnsConfig {
        nameservers: fields.read_all("dns", values::address),
        search: fields.read_all("dns_search", values::domain),
        options: strings(fields, "dns_opt"),
    };
    container.dns_config = Some(config).filter(|config| *config != DnsConfig::default());
}

fn rights(fields: &mut Fields<'_>, container: &mut ContainerSpec, context: &Context<'_>) {
    let mut adds = fields.read_all("cap_add", values::capability);
    let mut drops = fields.read_all("cap_drop", values::capability);
    for list in [&mut adds, &mut drops] {
        list.sort();
        list.dedup();
    }
    drops.retain(|name| !adds.contains(name));
    (container.capability_add, container.capability_drop) = (adds, drops);
    let edge = EdgeContainer {
        devices: devices(fields),
        privileged: fields.flag("privileged").unwrap_or_default(),
        userns_mode: users(fields),
        ..EdgeContainer::default()
    };
    container.edge = Some(edge);
    let security_option = |text: &str| {
        let option = values::security_option(text).map_err(|bad| bad.to_string())?;
        option.with_file(|path| context.files.read(Path::new(path)))
    };
    for option in fields.read_all("security_opt", security_option) {
        option.apply(container);
    }
}

fn users(fields: &mut Fields<'_>) -> String {
    let mode = fields.read("userns_mode", values::user_namespace).unwrap_or_default();
    if mode == "host" { String::new() } else { mode }
}

fn devices(fields: &mut Fields<'_>) -> Vec<DeviceMapping> {
    let path = fields.path("devices");
    let items = fields.items("devices").unwrap_or_default();
    let log = fields.log();
    let read = |item: Node| {
        let place = item.place.clone();
        let text = match item.value {
            Value::Map(_) => {
                let mut long = Fields::of(item, path.clone(), log)?;
                let parts = ["source", "target", "permissions"].map(|key| long.string(key));
                long.finish();
                let [source, target, permissions] = parts;
                let source = source.unwrap_or_default();
                let target = target.unwrap_or_else(|| source.clone());
                format!("{source}:{target}:{}", permissions.as_deref().unwrap_or("rwm"))
            }
            _ => as_text(item, &path, log)?.text,
        };
        log.ok(&place, values::device(&text).map_err(|bad| format!("`{path}`: {bad}")))
    };
    items.into_iter().filter_map(read).collect()
}

fn kernel(fields: &mut Fields<'_>, container: &mut ContainerSpec) {
    let path = fields.path("sysctls");
    for pair in fields.pairs("sysctls").unwrap_or_default() {
        let text = format!("{}={}", pair.name, pair.value.unwrap_or_default());
        let read = values::sysctl(&text).map_err(|bad| format!("`{path}`: {bad}"));
        if let Some(pair) = fields.log().ok(&pair.place, read) {
            container.sysctls.insert(pair.name, pair.value);
        }
    }
    container.ulimits = ulimits(fields);
}

fn ulimits(fields: &mut Fields<'_>) -> Vec<Ulimit> {
    let path = fields.path("ulimits");
    let entries = fields.entries("ulimits");
    let log = fields.log();
    let read = |entry: Entry| {
        let text = match entry.node.value {
            Value::Map(_) => {
                let mut both = Fields::of(entry.node, format!("{path}.{}", entry.key), log)?;
                let (soft, hard) = (both.string("soft"), both.string("hard"));
                both.finish();
                match (soft, hard) {
                    (Some(soft), Some(hard)) => format!("{}={soft}:{hard}", entry.key),
                    (one, other) => {
                        format!("{}={}", entry.key, one.or(other).unwrap_or_default())
                    }
                }
            }
            _ => format!("{}={}", entry.key, as_text(entry.node, &path, log)?.text),
        };
        log.ok(&entry.place, values::ulimit(&text).map_err(|bad| format!("`{path}`: {bad}")))
    };
    entries.into_iter().filter_map(read).collect()
}

fn logging(fields: &mut Fields<'_>) -> Option<LogDriver> {
    let mut logging = fields.fields("logging")?;
    let name = logging.string("driver").unwrap_or_default();
    let options = labels(&mut logging, "options");
    logging.finish();
    Some(LogDriver { name, options })
}

/// Commands that run to their end before each start: `pre_start: [{command: …}]`.
fn pre_start(fields: &mut Fields<'_>, spec: &mut ServiceSpec, context: &Context<'_>) {
    let path = fields.path("pre_start");
    let Some(items) = fields.items("pre_start") else { return };
    let mut commands = Vec::new();
    for item in items {
        let Some(mut step) = Fields::of(item, path.clone(), context.log) else { continue };
        let words = step.take("command").and_then(|node| {
            let path = step.path("command");
            of_words(node, &path, &step)
        });
        step.refuse(&[
            ("image", "a step runs in the image of its service"),
            ("user", "a step has the user of its service"),
            ("privileged", "a step has the rights of its service"),
            ("working_dir", "a step has the folder of its service"),
            ("environment", "a step has the variables of its service"),
            ("per_replica", "a step runs before each task"),
        ]);
        match words {
            Some(words) if !words.is_empty() => commands.push(words),
            _ => step.log().refuse(&step.place, format!("`{path}`: `command` is missing")),
        }
        step.finish();
    }
    spec.task_template.pre_start = Some(commands);
}
