//! What this node could not do for networks, told with names: the kernel side knows ids only.

use node_core::expand::task_name;

use super::Api;
use super::snapshot::Snapshot;

/// What this node's kernel does not hold as planned, as sentences.
pub fn network_failures(api: &Api, snapshot: &Snapshot) -> Vec<String> {
    let name_of = |what: &str, id: &str| snapshot.name_of(what, id);
    api.handle.network_failures().iter().map(|text| with_names(text, name_of)).collect()
}

/// Puts the name in the place of each id that follows the word that says of what it is. Ids in
/// paths of files stay.
fn with_names(text: &str, name_of: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut before = "";
    let words = text.split(' ').map(|word| {
        let id = word.trim_end_matches([',', ':']);
        let named = name_of(before, id).map(|name| format!("{name}{}", &word[id.len()..]));
        before = word;
        named.unwrap_or_else(|| word.to_owned())
    });
    words.collect::<Vec<String>>().join(" ")
}

impl Snapshot {
    fn name_of(&self, what: &str, id: &str) -> Option<String> {
        match what {
            "network" => {
                let found = self.networks.iter().find(|row| row.network.id.to_string() == id);
                found.map(|row| row.network.name.clone())
            }
            "node" => id.parse().ok().map(|id| self.hostname(id)),
            "task" => {
                let task = id.split('.').next()?.parse().ok()?;
                let view = self.tasks.iter().find(|view| view.id == task)?;
                Some(task_name(&view.service_name, view.slot))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_names_where_they_stand_for_something() {
        let name_of = |what: &str, id: &str| match (what, id) {
            ("network", "aa11") => Some("back".to_owned()),
            ("node", "bb22") => Some("pi-2".to_owned()),
            ("task", "cc33.3") => Some("web.1".to_owned()),
            _ => None,
        };
        let said = |text| with_names(text, name_of);
        assert_eq!(said("network aa11, node bb22: no route"), "network back, node pi-2: no route");
        assert_eq!(said("network aa11, task cc33.3: full"), "network back, task web.1: full");
        assert_eq!(said("open /run/x/aa11: the node aa11"), "open /run/x/aa11: the node aa11");
    }
}
