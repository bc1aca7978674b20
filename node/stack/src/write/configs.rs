//! Configs and secrets: those at the top of the file, and the files that a service gets of them.

use node_docker::config::{ConfigReference, ConfigSpec};

use super::keys::{Keys, node};
use super::{key, without_own};
use crate::stack::Stack;

/// The key `configs` or `secrets` of a service. A use of one without a name is left out: nobody could
/// find it.
pub fn write(kind: &str, references: &[ConfigReference], stack: &str, keys: &mut Keys) {
    let named = references.iter().filter(|one| !one.config_name.is_empty());
    let items: Vec<_> = named
        .map(|reference| {
            let mut one = Keys::default();
            one.text("source", key(stack, &reference.config_name));
            if let Some(file) = &reference.file {
                one.filled("target", &file.name);
                one.filled("uid", &file.uid);
                one.filled("gid", &file.gid);
                one.text("mode", format!("0{:o}", file.mode));
            }
            node(one.into_value())
        })
        .collect();
    if !items.is_empty() {
        keys.list(kind, items);
    }
}

/// The key `configs` at the top. What a config holds is in the file, where it is text.
pub fn declared(stack: &Stack) -> Keys {
    let mut all = Keys::default();
    for ConfigSpec { name, labels, data, templating, .. } in &stack.configs {
        let mut one = Keys::default();
        one.text("name", name);
        one.text("content", String::from_utf8_lossy(&data.0));
        one.pairs("labels", &without_own(labels, &stack.name));
        if let Some(driver) = templating {
            one.filled("template_driver", &driver.name);
        }
        all.map(key(&stack.name, name), one);
    }
    for name in &stack.external_configs {
        let mut one = Keys::default();
        one.text("external", "true");
        if key(&stack.name, name) != name {
            one.text("name", name);
        }
        all.map(key(&stack.name, name), one);
    }
    all
}

/// The key `secrets` at the top. What is in one is never written: each has to be there before.
pub fn secrets(stack: &Stack) -> Keys {
    let mut all = Keys::default();
    let own = stack.secrets.iter().map(|secret| &secret.name);
    for name in own.chain(&stack.external_secrets) {
        let mut one = Keys::default();
        one.text("external", "true");
        if key(&stack.name, name) != name {
            one.text("name", name);
        }
        all.map(key(&stack.name, name), one);
    }
    all
}
