#!/usr/bin/env bash
# bollard-stubs 1.53.1-rc.29.3.1 (the types of bollard 0.21.1, a client of Docker's API) and the Python
# package docker 7.1.0 spell one field of the same API differently: the health check of a service's
# containers. The description of the API says `HealthCheck`, and bollard's types are made from it; the
# daemon's own type says `Healthcheck`, and that is what it answers, and what the Python package sends.
# The daemon reads both, as Go's decoder does not mind the case; serde does.
#
# What one would guess: that a program which reads a service, changes its image and sends it back keeps
# the rest.
#
# What is done here: a service with a health check, as the Python package writes it, is read and written
# by bollard's types. Seen: read without an error, no health check is in the value (`None`), and what is
# written has none: sent to a daemon, the service loses it. Its own spelling makes the round trip.
#
# The product reads both spellings, and answers as the daemon does, so that `docker service inspect` shows
# it; a client on bollard has to read `TaskTemplate.ContainerSpec.Healthcheck` by itself.
# Needs cargo and the registry of crates, python3 with venv and the index of Python packages.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/python"
"$folder/python/bin/pip" --quiet --disable-pip-version-check install docker==7.1.0
"$folder/python/bin/python" > "$folder/spec.json" <<'PYTHON'
import json
from docker.types import ContainerSpec, Healthcheck

check = Healthcheck(test=["CMD", "true"], interval=1_000_000_000)
print(json.dumps(ContainerSpec("nginx:1.27", healthcheck=check)))
PYTHON
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "reads"
version = "0.0.0"
edition = "2024"

[dependencies]
bollard-stubs = "=1.53.1-rc.29.3.1"
serde_json = "1"
TOML
cat > "$folder/src/main.rs" <<'RUST'
use bollard_stubs::models::TaskSpecContainerSpec;

fn main() {
    let given = std::fs::read_to_string(std::env::args().nth(1).expect("a file")).expect("readable");
    for text in [given.clone(), given.replace("Healthcheck", "HealthCheck")] {
        let read: TaskSpecContainerSpec = serde_json::from_str(&text).expect("it is read");
        let written = serde_json::to_string(&read).expect("it is written");
        let spelling = if text.contains("HealthCheck") { "HealthCheck" } else { "Healthcheck" };
        let has = written.to_lowercase().contains("healthcheck");
        let kept = if has { "kept" } else { "lost" };
        println!("{spelling}: image {}, check {kept}", read.image.unwrap_or_default());
    }
}
RUST
seen=$(cd "$folder" && cargo run --quiet -- spec.json)
echo "$seen"
expected='Healthcheck: image nginx:1.27, check lost
HealthCheck: image nginx:1.27, check kept'
[ "$seen" = "$expected" ] || { echo "this is not what was seen before:"; echo "$expected"; exit 1; }
