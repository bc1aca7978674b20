//! Other programs that speak Docker's API, against real agents.

#[path = "clients/prometheus.rs"]
mod prometheus;
#[path = "lab/test_lab.rs"]
mod test_lab;
