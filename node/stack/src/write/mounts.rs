//! Mounts, and the volumes that they need at the top of the file.

use std::collections::BTreeMap;

use node_docker::container_spec::Mount;

use super::keys::{Keys, node, size};
use super::{key, without_own};
use crate::service::STACK_LABEL;
use crate::tree::{Node, Value};

/// A volume as it is declared in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Declaration {
    name: String,
    labels: BTreeMap<String, String>,
    driver: Option<String>,
    is_external: bool,
}

/// The volumes that were met so far, by their key.
pub struct Volumes {
    stack: String,
    declarations: BTreeMap<String, Declaration>,
}

impl Volumes {
    pub fn new(stack: &str) -> Volumes {
        Volumes { stack: stack.to_owned(), declarations: BTreeMap::new() }
    }

    /// A mount as an item of `volumes`.
    pub fn written(&mut self, mount: &Mount) -> Node {
        let is_volume = matches!(mount.kind.as_str(), "" | "volume");
        let is_named = is_volume && !mount.source.is_empty();
        let source = if is_named { self.declare(mount) } else { mount.source.clone() };
        match self.short(mount, &source) {
            Some(text) if is_named => node(Value::Text(text)),
            _ => node(self.long(mount, &source).into_value()),
        }
    }

    /// The key of the volume of a mount. Labels belong to the declaration: a second mount that has
    /// others gets a second one of the same volume.
    fn declare(&mut self, mount: &Mount) -> String {
        let options = mount.volume_options.clone().unwrap_or_default();
        let is_external = options.labels.get(STACK_LABEL) != Some(&self.stack);
        let driver = options.driver_config.map(|driver| driver.name).filter(|_| !is_external);
        let labels = match is_external {
            true => BTreeMap::new(),
            false => without_own(&options.labels, &self.stack),
        };
        let declaration = Declaration { name: mount.source.clone(), labels, driver, is_external };
        let wanted = key(&self.stack, &mount.source).to_owned();
        let mut free = wanted.clone();
        for number in 2.. {
            match self.declarations.get(&free) {
                Some(other) if *other == declaration => return free,
                Some(_) => free = format!("{wanted}_{number}"),
                None => break,
            }
        }
        self.declarations.insert(free.clone(), declaration);
        free
    }

    /// `data:/data:ro`, where that says all.
    fn short(&self, mount: &Mount, source: &str) -> Option<String> {
        let is_external = self.declarations.get(source).is_some_and(|one| one.is_external);
        let is_plain = match &mount.volume_options {
            None => is_external,
            Some(options) => !is_external && !options.no_copy,
        };
        let has_others = mount.bind_options.is_some() || mount.tmpfs_options.is_some();
        let is_apart = |text: &str| !text.is_empty() && !text.contains(':');
        let is_word = !source.starts_with(['/', '.', '~']);
        if mount.kind != "volume"
            || !is_plain
            || has_others
            || !(is_word && is_apart(source) && is_apart(&mount.target))
        {
            return None;
        }
        let end = if mount.read_only { ":ro" } else { "" };
        Some(format!("{source}:{}{end}", mount.target))
    }

    fn long(&self, mount: &Mount, source: &str) -> Keys {
        let mut keys = Keys::default();
        keys.text("type", if mount.kind.is_empty() { "volume" } else { &mount.kind });
        keys.filled("source", source);
        keys.text("target", &mount.target);
        keys.truths(&[("read_only", mount.read_only)]);
        let declaration = self.declarations.get(source).filter(|one| !one.is_external);
        if let Some(options) = &mount.volume_options {
            let mut inner = Keys::default();
            inner.truths(&[("nocopy", options.no_copy)]);
            if declaration.is_none() {
                inner.pairs("labels", &options.labels);
            }
            keys.map("volume", inner);
        }
        if let Some(options) = &mount.bind_options {
            let mut inner = Keys::default();
            inner.filled("propagation", &options.propagation);
            if options.non_recursive {
                inner.text("recursive", "disabled");
            }
            inner.truths(&[("create_host_path", options.create_mountpoint)]);
            keys.map("bind", inner);
        }
        if let Some(options) = &mount.tmpfs_options {
            let mut inner = Keys::default();
            if let Some(bytes) = u64::try_from(options.size_bytes).ok().filter(|bytes| *bytes > 0) {
                inner.text("size", size(bytes));
            }
            if options.mode != 0 {
                inner.text("mode", format!("0{:o}", options.mode));
            }
            keys.map("tmpfs", inner);
        }
        keys
    }

    /// The key `volumes` at the top.
    pub fn declared(&self) -> Keys {
        let mut keys = Keys::default();
        for (key, declaration) in &self.declarations {
            let Declaration { name, labels, driver, is_external } = declaration;
            let mut inner = Keys::default();
            inner.truths(&[("external", *is_external)]);
            let own = if *is_external { key.clone() } else { format!("{}_{key}", self.stack) };
            if *name != own {
                inner.text("name", name);
            }
            if let Some(driver) = driver {
                inner.filled("driver", driver);
            }
            inner.pairs("labels", labels);
            keys.map(key, inner);
        }
        keys
    }
}
