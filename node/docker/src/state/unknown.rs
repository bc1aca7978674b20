//! Fields of a spec that no shape here knows: refused by name, unless they request nothing.
//!
//! Docker's clients send many fields that no user asked for: empty ones, and `Isolation`. All other
//! unknown fields are refused: a silently dropped setting would be noticed too late.

use serde_json::Value;

use super::{BadSpec, spelling};
use crate::service::ServiceSpec;
use crate::{Unknown, from_value};

/// Reads a spec, and refuses fields that would be lost.
pub fn read_spec(body: &[u8]) -> Result<ServiceSpec, BadSpec> {
    let unreadable = |error: serde_json::Error| BadSpec::Unreadable(error.to_string());
    let mut sent: Value = serde_json::from_slice(body).map_err(unreadable)?;
    spelling::correct(&mut sent);
    if let Some((path, number)) = negative("", &sent) {
        return Err(BadSpec::Negative(path, number));
    }
    let spec: ServiceSpec = from_value(sent.clone()).map_err(unreadable)?;
    let known = serde_json::to_value(&spec).map_err(unreadable)?;
    match lost(&sent, &known) {
        Some(path) => Err(refused(path)),
        None => Ok(spec),
    }
}

/// Numbers that may be negative; their own rules are looked at later.
const SIGNED: [&str; 7] =
    ["Hard", "Soft", "OomScoreAdj", "Priority", "SizeBytes", "SwapBytes", "MemorySwappiness"];

/// The path of the first number below zero. Reading would only say that it does not fit.
fn negative(path: &str, sent: &Value) -> Option<(String, String)> {
    match sent {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let is_looked_at = !SIGNED.contains(&name.as_str());
            let path = if path.is_empty() { name.clone() } else { join(path, name) };
            is_looked_at.then(|| negative(&path, value)).flatten()
        }),
        Value::Array(items) => items.iter().find_map(|item| negative(path, item)),
        Value::Number(number) if number.as_f64().is_some_and(|number| number < 0.0) => {
            Some((path.to_owned(), number.to_string()))
        }
        _ => None,
    }
}

/// The path of the first field that is sent but not known.
fn lost(sent: &Value, known: &Value) -> Option<String> {
    match (sent, known) {
        (Value::Object(sent), Value::Object(known)) => {
            sent.iter().find_map(|(name, value)| match known.get(name) {
                Some(known) => lost(value, known).map(|path| join(name, &path)),
                None => (!asks_for_nothing(name, value)).then(|| name.clone()),
            })
        }
        (Value::Array(sent), Value::Array(known)) => {
            sent.iter().zip(known).find_map(|(sent, known)| lost(sent, known))
        }
        _ => None,
    }
}

fn join(name: &str, path: &str) -> String {
    format!("{name}.{path}")
}

fn refused(path: String) -> BadSpec {
    match path.ends_with("Isolation") || path.contains("CredentialSpec") {
        true => BadSpec::Windows(path),
        false => BadSpec::NotYet(path),
    }
}

/// Refuses the fields that were collected as unknown.
pub(super) fn refuse_unknown(path: &str, unknown: &Unknown) -> Result<(), BadSpec> {
    match unknown.iter().find(|(name, value)| !asks_for_nothing(name, value)) {
        Some((name, _)) => Err(refused(format!("{path}{name}"))),
        None => Ok(()),
    }
}

fn asks_for_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            text.is_empty() || (matches!(name, "Isolation" | "Consistency") && text == "default")
        }
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.iter().all(|(name, value)| asks_for_nothing(name, value)),
        Value::Bool(true) => false,
    }
}
