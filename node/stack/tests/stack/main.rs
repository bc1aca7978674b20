//! Stacks as people write them: what each key becomes, and what is said of what cannot be obeyed.

mod container;
mod examples;
mod given;
mod refusals;
mod schema;
mod service;
mod whole;
mod written;

use given::Given;
use serde_json::Value;

/// One service `web` with these keys, as the JSON that the API is sent.
fn web(keys: &str) -> Value {
    let file = format!("services:\n  web:\n    image: busybox\n{}", indented(keys));
    let stack = Given::file(&file).read();
    serde_json::to_value(&stack.services[0]).expect("it is JSON")
}

fn indented(keys: &str) -> String {
    keys.lines().map(|line| format!("    {line}\n")).collect()
}

/// The value at a path like `TaskTemplate.ContainerSpec.Env`.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| match key.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[key],
    })
}
