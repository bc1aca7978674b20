//! `/edge/top`: the resource usage of the agent itself, from `/proc/self`.
//!
//! A number that the kernel does not give is 0: it is for people and for budgets, not for
//! decisions.

use std::fs;

use axum::Json;
use axum::extract::State;
use crdt_state::Kind;

use super::Api;
use super::failure::Failure;
use node_docker::edge::Top;

/// `GET /edge/top`.
pub async fn top(State(api): State<Api>) -> Result<Json<Top>, Failure> {
    let state = api.read(|node, _| {
        let replica = node.replica();
        let kinds = [Kind::NODE_SETTINGS, Kind::SERVICE, Kind::EVICTION, Kind::NODE, Kind::TASK];
        let records: usize = kinds.iter().map(|kind| replica.keys(*kind).count()).sum();
        (records as u64, replica.bytes() as u64)
    });
    let (records, state_bytes) = state.await?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let uptime = api.started.elapsed().as_millis();
    let traffic = api.handle.traffic();
    Ok(Json(Top {
        pid: std::process::id(),
        uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
        rss_bytes: field(&status, "VmRSS:") * 1_024,
        rss_peak_bytes: field(&status, "VmHWM:") * 1_024,
        cpu_ms: cpu_ms(&stat),
        threads: field(&status, "Threads:"),
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64),
        sent_bytes: traffic.sent_bytes,
        received_bytes: traffic.received_bytes,
        written_bytes: field(&io, "write_bytes:"),
        records,
        state_bytes,
    }))
}

/// The number behind a name, in `name: number` lines.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time: fields 14 and 15, counted behind the name, which may contain blanks.
fn cpu_ms(stat: &str) -> u64 {
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0 };
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok());
    ticks.sum::<u64>() * 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        assert_eq!(field("Name:\tx\nVmRSS:\t  1234 kB\n", "VmRSS:"), 1234);
        assert_eq!(field("", "VmRSS:"), 0);
        let stat = "1 (a) b) S 1 1 1 0 -1 0 0 0 0 0 7 5 0 0";
        assert_eq!(cpu_ms(stat), 120);
        assert_eq!(cpu_ms("junk"), 0);
    }
}
