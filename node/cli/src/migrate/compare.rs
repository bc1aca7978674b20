//! What was asked of a service and is not in the file that was written: a comparison of JSON with JSON,
//! so that a field is missed also if nothing here knows it.

use serde_json::Value;

/// A field that was lost, or is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Where it was: `TaskTemplate.ContainerSpec.Mounts[/data].VolumeOptions.DriverConfig`.
    pub path: String,
    /// What it was.
    pub value: String,
}

/// By what the items of a list are told apart, the first that they have.
const NAMES: [&str; 6] = ["Target", "TargetPort", "Name", "Kind", "File", "Spread"];

/// All that `before` says and `after` does not. Empty values say nothing.
pub fn lost(before: &Value, after: &Value) -> Vec<Lost> {
    let mut all = Vec::new();
    compare("", before, Some(after), &mut all);
    all
}

fn compare(path: &str, before: &Value, after: Option<&Value>, all: &mut Vec<Lost>) {
    if says_nothing(before) {
        return;
    }
    match (before, after) {
        (Value::Object(fields), Some(Value::Object(others))) => {
            for (name, value) in fields {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                // `Global: {}` says everything although it is empty.
                if path == "Mode" && !value.is_null() && !others.contains_key(name) {
                    all.push(Lost { path: inner, value: value.to_string() });
                    continue;
                }
                compare(&inner, value, others.get(name), all);
            }
        }
        (Value::Object(fields), _) => {
            for (name, value) in fields {
                compare(&format!("{path}.{name}"), value, None, all);
            }
        }
        (Value::Array(items), after) => {
            let others = after.and_then(Value::as_array).cloned().unwrap_or_default();
            of_list(path, items, others, all);
        }
        (before, Some(after)) if is_same(before, after) => {}
        (before, _) => {
            let value = before.as_str().map_or_else(|| before.to_string(), str::to_owned);
            all.push(Lost { path: path.to_owned(), value });
        }
    }
}

/// Lists may be in another order, and lack items.
fn of_list(path: &str, items: &[Value], mut others: Vec<Value>, all: &mut Vec<Lost>) {
    let mut left = Vec::new();
    for item in items {
        match others.iter().position(|other| is_within(item, other)) {
            Some(at) => drop(others.remove(at)),
            None => left.push(item),
        }
    }
    for item in left {
        let name = NAMES.iter().find_map(|name| item.get(name).map(|value| (*name, value)));
        let same = name.and_then(|(name, value)| {
            others.iter().position(|other| other.get(name) == Some(value))
        });
        let other = same.map(|at| others.remove(at));
        let path = match name {
            Some((_, Value::String(text))) => format!("{path}[{text}]"),
            Some((_, value)) if value.is_number() => format!("{path}[{value}]"),
            _ => path.to_owned(),
        };
        match item {
            Value::String(word) => all.push(Lost { path, value: word.clone() }),
            _ => compare(&path, item, other.as_ref(), all),
        }
    }
}

fn is_within(item: &Value, other: &Value) -> bool {
    if item.is_string() {
        return item == other;
    }
    let mut lost = Vec::new();
    compare("", item, Some(other), &mut lost);
    lost.is_empty()
}

fn is_same(before: &Value, after: &Value) -> bool {
    match (before, after) {
        // A part of a whole is a single-precision number in Docker.
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let single = |number: &serde_json::Number| number.as_f64().map(|number| number as f32);
            single(a) == single(b)
        }
        (before, after) => before == after,
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        // A list of texts is one of words, and an empty word is one.
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_lost_is_told_with_its_place() {
        let before = json!({
            "A": {"B": 1, "C": [], "D": ""}, "E": ["x", "y", ""], "F": 0.1, "G": {"H": {"I": true}},
            "M": [{"Target": "/a", "X": 1}, {"Target": "/b", "X": 2}], "Z": 0,
        });
        let after = json!({
            "A": {"B": 2}, "E": ["y"], "F": 0.10000000149011612, "M": [{"Target": "/b", "X": 2}, {"Target": "/a"}],
        });
        let lost = lost(&before, &after);
        let told: Vec<_> =
            lost.iter().map(|lost| (lost.path.as_str(), lost.value.as_str())).collect();
        assert_eq!(
            told,
            [("A.B", "1"), ("E", "x"), ("E", ""), ("G.H.I", "true"), ("M[/a].X", "1")]
        );
    }

    #[test]
    fn what_is_added_is_not_lost() {
        assert_eq!(lost(&json!({"A": ["x"]}), &json!({"A": ["z", "x"], "B": 1})), []);
    }
}
