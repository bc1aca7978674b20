//! The answer to a change that is only tried: what it would do, with nothing changed.
//!
//! A `POST` or `DELETE` of a service or node below `/edge/dry-run`, for example
//! `/edge/dry-run/services/create`, is answered with this instead of being carried out. Below
//! `/edge/expect/DIGEST` it is carried out only if it would still do what that dry run showed.

use serde::{Deserialize, Serialize};

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DryRun {
    /// The name of the service or node.
    pub name: String,
    /// `create`, `update`, `remove` or `none`.
    pub action: String,
    /// The values that differ, by their path.
    pub changes: Vec<ValueChange>,
    /// The tasks of the service, and all others that something would happen to.
    pub tasks: Vec<TaskChange>,
    /// What happens then when a node is cut off from all others.
    pub cuts: Vec<CutRow>,
    /// The digest to expect.
    pub digest: String,
}

/// A value that differs. Of an object that is created only `After` is there, and the other way
/// round.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ValueChange {
    /// As in the object of the API: `TaskTemplate.ContainerSpec.Image`.
    pub path: String,
    /// As it is, in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// As it would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
}

/// What becomes of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskChange {
    /// `web.1`.
    pub name: String,
    /// The host name of its node; empty: none.
    pub before: String,
    /// The host name of the node that it would be on; empty: none.
    pub after: String,
    /// `stays`, `updates`, `starts`, `moves`, `stops`, `waits` or `later`.
    pub fate: String,
    /// Why it has no node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How many tasks run on each side of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CutRow {
    /// The host name of the node that is cut off.
    pub node: String,
    /// Is it the node that answers?
    pub is_here: bool,
    /// By service.
    pub services: Vec<CutService>,
}

/// How many tasks of a service run on each side of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CutService {
    /// Its name.
    pub name: String,
    /// On the node that is cut off.
    pub alone: u64,
    /// On all others together.
    pub others: u64,
}

/// The values that differ between two objects, by path, in the order of the paths. Lists differ as
/// a whole. An absent value, an empty list and an empty object are the same.
pub fn differences<T: Serialize>(before: Option<&T>, after: Option<&T>) -> Vec<ValueChange> {
    let value = |object: Option<&T>| {
        object.and_then(|object| serde_json::to_value(object).ok()).unwrap_or_default()
    };
    let mut found = Vec::new();
    compare("", value(before), value(after), &mut found);
    found
}

fn compare(
    path: &str,
    before: serde_json::Value,
    after: serde_json::Value,
    found: &mut Vec<ValueChange>,
) {
    use serde_json::Value;
    if is_nothing(&before) && is_nothing(&after) || before == after {
        return;
    }
    let (mut before, mut after) = match (before, after) {
        (Value::Object(before), Value::Object(after)) => (before, after),
        (Value::Object(before), after) if is_nothing(&after) => (before, Default::default()),
        (before, Value::Object(after)) if is_nothing(&before) => (Default::default(), after),
        (before, after) => {
            let given = |value: Value| Some(value).filter(|value| !is_nothing(value));
            let (before, after) = (given(before), given(after));
            found.push(ValueChange { path: path.to_owned(), before, after });
            return;
        }
    };
    let names: std::collections::BTreeSet<String> =
        before.keys().chain(after.keys()).cloned().collect();
    for name in names {
        let of = |map: &mut serde_json::Map<String, Value>| map.remove(&name).unwrap_or_default();
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        compare(&below, of(&mut before), of(&mut after), found);
    }
}

fn is_nothing(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn changes(before: Option<Value>, after: Option<Value>) -> Vec<(String, String, String)> {
        let text = |value: Option<Value>| value.map(|value| value.to_string()).unwrap_or_default();
        let found = differences(before.as_ref(), after.as_ref());
        found.into_iter().map(|c| (c.path, text(c.before), text(c.after))).collect()
    }

    fn change(path: &str, before: &str, after: &str) -> (String, String, String) {
        (path.to_owned(), before.to_owned(), after.to_owned())
    }

    #[test]
    fn what_differs_is_named_by_its_path() {
        let before = json!({"Mode": {"Replicas": 2}, "Env": ["A=1"], "Name": "web"});
        let after = json!({"Mode": {"Replicas": 4}, "Env": ["A=1", "B=2"], "Name": "web"});
        assert_eq!(
            changes(Some(before.clone()), Some(after)),
            [change("Env", "[\"A=1\"]", "[\"A=1\",\"B=2\"]"), change("Mode.Replicas", "2", "4")]
        );
        assert_eq!(changes(Some(before.clone()), Some(before)), []);
    }

    #[test]
    fn of_what_is_new_or_gone_every_value_is_named() {
        let object = json!({"Name": "web", "Labels": {}, "Mode": {"Replicas": 2}});
        let new = [change("Mode.Replicas", "", "2"), change("Name", "", "\"web\"")];
        assert_eq!(changes(None, Some(object.clone())), new);
        let gone = [change("Mode.Replicas", "2", ""), change("Name", "\"web\"", "")];
        assert_eq!(changes(Some(object), None), gone);
    }

    #[test]
    fn an_absent_value_is_an_empty_one() {
        let before = json!({"Labels": {}, "Env": [], "Privileges": {"A": null}});
        assert_eq!(changes(Some(before), Some(json!({}))), []);
        let (one, other) = (json!({"Mode": {"Global": {}}}), json!({"Mode": {"Replicas": 1}}));
        assert_eq!(changes(Some(one), Some(other)), [change("Mode.Replicas", "", "1")]);
    }
}
