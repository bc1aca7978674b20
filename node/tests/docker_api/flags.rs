//! Each flag of `docker service …`: from Docker's own client and from ours it makes the same
//! service, or both refuse it. `docs/docker-compatibility.md` has a row for each of them.

#[path = "flags/create.rs"]
mod create;
#[path = "flags/listings.rs"]
mod listings;
#[path = "flags/newer.rs"]
mod newer;
#[path = "flags/placeholders.rs"]
mod placeholders;
#[path = "flags/pretty.rs"]
mod pretty;
#[path = "flags/rows.rs"]
pub mod rows;
#[path = "flags/update.rs"]
mod update;

use std::process::{Command, Output};

use serde_json::Value;

use super::Fleet;

/// Flags as they are typed, the field of the spec that they set, and its value in JSON. Without a
/// field the flag changes nothing in the spec.
type Row = (&'static str, &'static str, &'static str);

const IMAGE: &str = "registry.invalid/app:1";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Our own client, as an operator would call it.
fn edgectl(fleet: &Fleet, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edgectl"))
        .args(words)
        .env("EDGECTL_SOCKET", fleet.socket(1))
        .output()
        .expect("edgectl runs")
}

/// The spec of a service without its name.
fn spec(fleet: &Fleet, service: &str) -> Value {
    let mut spec = fleet.get(1, &format!("/services/{service}")).json()["Spec"].clone();
    spec["Name"].take();
    // Docker's client sends added variables in any order.
    if let Some(env) = spec.pointer_mut("/TaskTemplate/ContainerSpec/Env") {
        let mut variables = env.as_array().cloned().unwrap_or_default();
        variables.sort_by_key(ToString::to_string);
        *env = variables.into();
    }
    spec
}

/// Creates a service without tasks; its flags may say otherwise.
fn create(fleet: &Fleet, client: Client, name: &str, flags: &str) -> Output {
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let is_counted = flags.iter().any(|flag| ["--mode", "--replicas"].contains(flag));
    let count: &[&str] = if is_counted { &[] } else { &["--replicas", "0"] };
    let resolve: &[&str] = match flags.contains(&"--no-resolve-image") {
        true => &[],
        false => &["--no-resolve-image"],
    };
    let head = ["service", "create", "-d", "--name", name];
    client.run(fleet, &[&head[..], resolve, count, &flags, &[IMAGE]].concat())
}

/// Makes a config whose data is its name.
fn create_config(fleet: &Fleet, name: &str) {
    let body = format!(r#"{{"Name": "{name}", "Data": "c2l0ZQ=="}}"#);
    assert_eq!(fleet.ask(1, "POST", "/configs/create", &body).status, 201);
}

/// Whose command line is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Docker,
    Ours,
}

impl Client {
    const BOTH: [Client; 2] = [Client::Docker, Client::Ours];

    fn run(self, fleet: &Fleet, words: &[&str]) -> Output {
        match self {
            Client::Docker => fleet.docker(1, words),
            Client::Ours => edgectl(fleet, words),
        }
    }

    fn name(self, number: usize) -> String {
        format!("{}-{number}", if self == Client::Docker { "docker" } else { "ours" })
    }
}

/// Compares the two services that a row made, and its field, which is below `place`.
fn check(fleet: &Fleet, (flags, field, value): Row, place: &str, number: usize) {
    let [docker, ours] = Client::BOTH.map(|client| spec(fleet, &client.name(number)));
    assert_eq!(docker, ours, "{flags}");
    if !field.is_empty() {
        let value: Value = serde_json::from_str(value).expect(flags);
        let set = docker.pointer(&format!("{place}{field}"));
        assert_eq!(set, Some(&value).filter(|value| !value.is_null()), "{flags}");
    }
}
