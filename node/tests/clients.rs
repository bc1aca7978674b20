//! Other programs and libraries that speak Docker's API, against real agents.

#[path = "clients/bollard.rs"]
mod bollard;
#[path = "docker_api/fleet.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod fleet;
#[path = "clients/prometheus.rs"]
mod prometheus;
#[path = "clients/python_sdk.rs"]
mod python_sdk;
#[path = "lab/test_lab.rs"]
mod test_lab;
#[path = "clients/traefik.rs"]
mod traefik;
