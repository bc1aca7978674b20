//! The functions of templates: Docker's own, and the names of those that Go has.

use gotmpl::{TemplateError, Value};
use node_docker::template::calls;
use node_docker::template::printf::printf;

type Function = fn(&[Value]) -> Result<Value, TemplateError>;

/// Docker's functions, and `printf`, which the engine has in a poorer form.
pub const OWN: &[(&str, Function)] = &[
    ("json", json),
    ("join", join),
    ("split", split),
    ("lower", |args| text_function(args, str::to_lowercase)),
    ("upper", |args| text_function(args, str::to_uppercase)),
    ("title", |args| text_function(args, title)),
    ("pad", pad),
    ("truncate", truncate),
    ("printf", printf),
];

/// All names, in the order of the alphabet.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<_> =
        OWN.iter().map(|(name, _)| *name).chain(calls::GO.iter().copied()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn argument<'a>(
    args: &'a [Value],
    index: usize,
    function: &str,
) -> Result<&'a Value, TemplateError> {
    args.get(index).ok_or_else(|| TemplateError::Exec(format!("{function} needs more arguments")))
}

fn number(args: &[Value], index: usize, function: &str) -> Result<usize, TemplateError> {
    argument(args, index, function)?
        .as_int()
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| TemplateError::Exec(format!("{function} needs a number")))
}

fn text_function(args: &[Value], change: fn(&str) -> String) -> Result<Value, TemplateError> {
    Ok(Value::String(change(&text(argument(args, 0, "this function")?)).into()))
}

fn title(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn join(args: &[Value]) -> Result<Value, TemplateError> {
    let separator = text(argument(args, 1, "join")?);
    match argument(args, 0, "join")? {
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            Ok(Value::String(items.join(&separator).into()))
        }
        other => Ok(Value::String(text(other).into())),
    }
}

fn split(args: &[Value]) -> Result<Value, TemplateError> {
    let (whole, separator) = (text(argument(args, 0, "split")?), text(argument(args, 1, "split")?));
    Ok(Value::List(whole.split(&separator).map(|part| Value::String(part.into())).collect()))
}

fn pad(args: &[Value]) -> Result<Value, TemplateError> {
    let (before, after) = (number(args, 1, "pad")?, number(args, 2, "pad")?);
    let padded =
        format!("{}{}{}", " ".repeat(before), text(argument(args, 0, "pad")?), " ".repeat(after));
    Ok(Value::String(padded.into()))
}

fn truncate(args: &[Value]) -> Result<Value, TemplateError> {
    let length = number(args, 1, "truncate")?;
    let kept: String = text(argument(args, 0, "truncate")?).chars().take(length).collect();
    Ok(Value::String(kept.into()))
}

fn json(args: &[Value]) -> Result<Value, TemplateError> {
    let json = to_json(argument(args, 0, "json")?)?;
    Ok(Value::String(json.to_string().into()))
}

fn to_json(value: &Value) -> Result<serde_json::Value, TemplateError> {
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Uint(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::String(value) => value.as_ref().into(),
        Value::List(items) => {
            serde_json::Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?)
        }
        Value::Map(entries) => {
            let mut object = serde_json::Map::new();
            for (name, value) in entries.iter() {
                object.insert(name.to_string(), to_json(value)?);
            }
            object.into()
        }
        _ => return Err(TemplateError::Exec("json of a function".to_owned())),
    })
}
