//! Several files as one, and a service on top of the one that it extends: later values count.
//!
//! Maps are joined key by key, lists are appended, everything else is replaced. As in Docker Compose,
//! some keys have a rule of their own: see [`rule`]. `!override` replaces in any case, `!reset` takes
//! away.

use crate::problem::Problem;
use crate::tree::{Entry, Joining, Map, Node, Value};

/// How a value joins an earlier one.
#[derive(Clone, Copy)]
enum Rule {
    /// By what the two are.
    Plain,
    /// The later one alone.
    Replace,
    /// As a map, also where a list of `name=value` is written.
    Pairs(&'static [char]),
    /// As a list, in which an item takes the place of one with the same identity.
    Unique(fn(&Node) -> Option<String>),
    /// As a map, unless its `driver` is another one: options belong to a driver.
    Driver,
}

/// The rule of the value at these keys.
fn rule(path: &[&str]) -> Rule {
    match path {
        ["services", _, "command" | "entrypoint"] => Rule::Replace,
        ["services", _, "healthcheck", "test"] => Rule::Replace,
        ["services", _, "environment" | "labels" | "sysctls" | "annotations"]
        | ["services", _, "deploy", "labels"]
        | [_, _, "labels"] => Rule::Pairs(&['=']),
        ["services", _, "extra_hosts"] => Rule::Pairs(&['=', ':']),
        ["services", _, "depends_on" | "networks"] => Rule::Pairs(&[]),
        ["services", _, "volumes" | "tmpfs"] => Rule::Unique(mount_target),
        ["services", _, "configs" | "secrets"] => Rule::Unique(file_target),
        ["services", _, "ports" | "devices"] => Rule::Unique(whole_text),
        ["services", _, "cap_add" | "cap_drop" | "expose" | "security_opt"] => {
            Rule::Unique(whole_text)
        }
        ["services", _, "logging"] => Rule::Driver,
        _ => Rule::Plain,
    }
}

/// Joins a later value to an earlier one; `path` are the keys that lead to both.
pub fn merge(earlier: Node, later: Node, path: &mut Vec<String>) -> Result<Node, Problem> {
    if later.joining != Joining::Merge {
        return Ok(later);
    }
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match rule(&keys) {
        Rule::Replace => Ok(later),
        Rule::Pairs(signs) => plain(as_map(earlier, signs), as_map(later, signs), path),
        Rule::Unique(identity) => unique(earlier, later, identity),
        Rule::Driver if driver(&earlier) != driver(&later) && driver(&later).is_some() => Ok(later),
        Rule::Driver | Rule::Plain => plain(earlier, later, path),
    }
}

fn plain(earlier: Node, later: Node, path: &mut Vec<String>) -> Result<Node, Problem> {
    let Node { place, joining, value } = later;
    let value = match (earlier.value, value) {
        // A key with nothing behind it says nothing new about a map or a list.
        (value @ (Value::Map(_) | Value::List(_)), Value::Null) => value,
        (Value::Map(mut map), Value::Map(more)) => {
            for entry in more.entries().to_vec() {
                let node = match map.take(&entry.key) {
                    None => entry.node,
                    Some(before) => {
                        path.push(entry.key.clone());
                        let joined = merge(before, entry.node, path)?;
                        path.pop();
                        joined
                    }
                };
                map.put(Entry { node, ..entry });
            }
            Value::Map(map)
        }
        (Value::List(mut items), Value::List(more)) => {
            items.extend(more);
            Value::List(items)
        }
        (before @ (Value::Map(_) | Value::List(_)), after) => {
            let what = format!(
                "`{}` is {} here and {} at {}",
                path.join("."),
                after.kind(),
                before.kind(),
                earlier.place
            );
            return Err(Problem::at(&place, what).hint("the same, or `!override` before this one"));
        }
        (_, after) => after,
    };
    Ok(Node { place, joining, value })
}

fn unique(
    earlier: Node,
    later: Node,
    identity: fn(&Node) -> Option<String>,
) -> Result<Node, Problem> {
    let (before, after) = match (earlier.value, later.value) {
        (Value::List(before), Value::List(after)) => (before, after),
        // One text is a list of one, where Compose allows that.
        (Value::List(before), Value::Text(text)) => {
            (before, vec![Node { value: Value::Text(text), ..Node::null(&later.place) }])
        }
        (before, Value::Null) => {
            return Ok(Node { value: before, place: later.place, joining: later.joining });
        }
        (_, value) => return Ok(Node { value, place: later.place, joining: later.joining }),
    };
    let is_replaced = |node: &Node| {
        let id = identity(node);
        id.is_some() && after.iter().any(|other| identity(other) == id)
    };
    let mut items: Vec<Node> = before.into_iter().filter(|node| !is_replaced(node)).collect();
    items.extend(after);
    Ok(Node { place: later.place, joining: later.joining, value: Value::List(items) })
}

/// Values of templates: maps are joined, everything else is replaced.
pub fn values(earlier: Node, later: Node) -> Node {
    let (Value::Map(mut before), Value::Map(after)) = (earlier.value, later.value.clone()) else {
        return later;
    };
    for entry in after.entries().to_vec() {
        let node = match before.take(&entry.key) {
            Some(inner) => values(inner, entry.node),
            None => entry.node,
        };
        before.put(Entry { node, ..entry });
    }
    Node { value: Value::Map(before), ..later }
}

/// A list of `name=value` as a map. Without one of the signs an item is a name with nothing.
fn as_map(node: Node, signs: &[char]) -> Node {
    let Value::List(items) = node.value else { return node };
    let mut map = Map::default();
    for item in &items {
        let Value::Text(text) = &item.value else {
            return Node { value: Value::List(items), ..node };
        };
        let sign = signs.iter().find_map(|sign| text.split_once(*sign));
        let (key, value) = match sign {
            Some((key, value)) => (key, Value::Text(value.to_owned())),
            None => (text.as_str(), Value::Null),
        };
        let place = item.place.clone();
        let node = Node { place: place.clone(), joining: Joining::Merge, value };
        map.put(Entry { place, key: key.to_owned(), node });
    }
    Node { value: Value::Map(map), ..node }
}

/// Where a volume is mounted.
fn mount_target(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => {
            let parts: Vec<&str> = text.split(':').collect();
            let target = match parts.as_slice() {
                [target] | [_, target] | [_, target, _] => target,
                _ => return Some(text.clone()),
            };
            Some((*target).trim_end_matches('/').to_owned())
        }
        Value::Map(map) => text_of(map, "target"),
        _ => None,
    }
}

/// The file that a config or a secret becomes.
fn file_target(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Map(map) => text_of(map, "target").or_else(|| text_of(map, "source")),
        _ => None,
    }
}

/// An item is the same only if it is written the same.
fn whole_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Map(map) => {
            let mut pairs: Vec<String> = map
                .entries()
                .iter()
                .map(|entry| format!("{}={:?}", entry.key, whole_text(&entry.node)))
                .collect();
            pairs.sort();
            Some(pairs.join(","))
        }
        _ => None,
    }
}

fn driver(node: &Node) -> Option<String> {
    match &node.value {
        Value::Map(map) => text_of(map, "driver"),
        _ => None,
    }
}

fn text_of(map: &Map, key: &str) -> Option<String> {
    match map.get(key).map(|node| &node.value) {
        Some(Value::Text(text)) => Some(text.trim_end_matches('/').to_owned()),
        _ => None,
    }
}

/// Takes out what `!reset` took away.
pub fn without_reset(node: &mut Node) {
    match &mut node.value {
        Value::Map(map) => {
            map.entries_mut().retain(|entry| entry.node.joining != Joining::Reset);
            map.entries_mut().iter_mut().for_each(|entry| without_reset(&mut entry.node));
        }
        Value::List(items) => {
            items.retain(|item| item.joining != Joining::Reset);
            items.iter_mut().for_each(without_reset);
        }
        Value::Null | Value::Text(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    /// The files joined, as one line of JSON-like text.
    fn joined(files: &[&str]) -> Result<String, String> {
        let mut all: Option<Node> = None;
        for (number, text) in files.iter().enumerate() {
            let file = parse(&format!("{number}.yaml"), text).expect("it is YAML");
            all = Some(match all {
                None => file,
                Some(before) => {
                    merge(before, file, &mut Vec::new()).map_err(|problem| problem.to_string())?
                }
            });
        }
        let mut all = all.expect("a file");
        without_reset(&mut all);
        Ok(shown(&all))
    }

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Text(text) => text.clone(),
            Value::List(items) => {
                format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            Value::Map(map) => {
                let entries = map.entries().iter();
                let pairs = entries.map(|entry| format!("{}: {}", entry.key, shown(&entry.node)));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// One key of the service `web` in two files.
    fn web(earlier: &str, later: &str) -> String {
        let file = |keys: &str| format!("services: {{web: {{{keys}}}}}");
        let all = joined(&[&file(earlier), &file(later)]).expect("they can be joined");
        let inner = all.strip_prefix("{services: {web: {").expect("the service");
        inner.strip_suffix("}}}").expect("the service").to_owned()
    }

    #[test]
    fn every_key_is_joined_by_its_rule() {
        let table = [
            ("image: a", "image: b", "image: b"),
            ("image: a", "user: b", "image: a, user: b"),
            ("command: [a, b]", "command: [c]", "command: [c]"),
            ("command: a", "command: [c]", "command: [c]"),
            ("entrypoint: [a]", "entrypoint: b", "entrypoint: b"),
            (
                "healthcheck: {test: [a], retries: 3}",
                "healthcheck: {test: [b]}",
                "healthcheck: {test: [b], retries: 3}",
            ),
            ("dns: [1.1.1.1]", "dns: [9.9.9.9]", "dns: [1.1.1.1, 9.9.9.9]"),
            ("environment: {A: 1, B: 2}", "environment: {B: 3}", "environment: {A: 1, B: 3}"),
            (
                "environment: [A=1, B=2]",
                "environment: {B: 3, C: }",
                "environment: {A: 1, B: 3, C: ~}",
            ),
            ("environment: {A: 1}", "environment: ['A=x=y']", "environment: {A: x=y}"),
            ("labels: [a=b]", "labels: {a: c}", "labels: {a: c}"),
            ("deploy: {labels: [a=b]}", "deploy: {labels: {a: c}}", "deploy: {labels: {a: c}}"),
            (
                "networks: [a]",
                "networks: {b: {aliases: [x]}}",
                "networks: {a: ~, b: {aliases: [x]}}",
            ),
            (
                "depends_on: [a]",
                "depends_on: {a: {condition: x}}",
                "depends_on: {a: {condition: x}}",
            ),
            ("volumes: ['a:/x', 'b:/y']", "volumes: ['c:/x:ro']", "volumes: [b:/y, c:/x:ro]"),
            (
                "volumes: ['a:/x']",
                "volumes: [{source: c, target: /x/}]",
                "volumes: [{source: c, target: /x/}]",
            ),
            (
                "secrets: [a]",
                "secrets: [{source: b, target: a}]",
                "secrets: [{source: b, target: a}]",
            ),
            ("ports: ['80:80']", "ports: ['80:80', '81:81']", "ports: [80:80, 81:81]"),
            ("cap_add: [A]", "cap_add: [A, B]", "cap_add: [A, B]"),
            (
                "logging: {driver: a, options: {x: y}}",
                "logging: {driver: b}",
                "logging: {driver: b}",
            ),
            (
                "logging: {driver: a, options: {x: y}}",
                "logging: {options: {z: y}}",
                "logging: {driver: a, options: {x: y, z: y}}",
            ),
            ("deploy: {replicas: 2}", "deploy: ", "deploy: {replicas: 2}"),
            ("ports: ['80:80']", "ports: !reset []", ""),
            ("ports: ['80:80']", "ports: !override ['81:81']", "ports: [81:81]"),
            ("environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment: {B: 2}"),
            ("environment: {A: 1, B: 2}", "environment: !override {C: 3}", "environment: {C: 3}"),
        ];
        for (earlier, later, wanted) in table {
            assert_eq!(web(earlier, later), wanted, "{earlier} and {later}");
        }
    }

    #[test]
    fn services_of_all_files_are_there_and_the_order_stays() {
        let files = ["services: {b: {image: x}, a: {image: y}}", "services: {c: {}, b: {user: z}}"];
        let all = joined(&files).expect("they can be joined");
        assert_eq!(all, "{services: {b: {image: x, user: z}, a: {image: y}, c: {}}}");
    }

    #[test]
    fn what_is_a_list_in_one_file_and_a_map_in_another_is_told_with_both_places() {
        let refused = joined(&["services: {web: {dns: [a]}}", "services: {web: {dns: {a: b}}}"]);
        let wanted = "1.yaml:1:23: `services.web.dns` is a map here and a list at 0.yaml:1:23; \
                      write the same, or `!override` before this one";
        assert_eq!(refused, Err(wanted.to_owned()));
    }
}
