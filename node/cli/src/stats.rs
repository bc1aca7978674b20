//! `edgectl stats`: the resource usage of running tasks, on any node.

use std::io::IsTerminal;

use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;

use super::client::Client;
use super::each::Each;
use super::failure::{Exit, Failure};
use super::output::{self, Listing, Row};
use super::task::{self, Found};
use node_docker::stats::Stats;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Tasks: web.2, ids, or services that have one task [default: all that run]
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
    /// Show them once and end
    #[arg(long)]
    no_stream: bool,
    #[command(flatten)]
    listing: Listing,
}

/// The resource usage of one task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StatsRow {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    #[serde(rename = "CPUPerc")]
    cpu: String,
    #[serde(rename = "MemUsage")]
    memory: String,
    #[serde(rename = "MemPerc")]
    memory_percent: String,
    #[serde(rename = "NetIO")]
    network: String,
    #[serde(rename = "BlockIO")]
    block: String,
    #[serde(rename = "PIDs")]
    pids: String,
}

impl Row for StatsRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ];
    const TABLE: &'static str = r"{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";
    const NONE: &'static str = "no task runs";

    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Shows them, once or until Ctrl-C.
pub async fn run(args: StatsArgs, mut client: Client) -> Result<Exit, Failure> {
    let once = args.no_stream;
    loop {
        let mut each = Each::new();
        let mut tasks = Vec::new();
        for typed in &args.tasks {
            tasks.extend(each.take(task::find(&mut client, typed).await));
        }
        let named = !args.tasks.is_empty();
        if !named {
            tasks = task::running(&mut client).await?;
        }
        let looks = tasks.iter().map(|task| sample(&client, task));
        let mut rows = Vec::new();
        for (task, looked) in tasks.iter().zip(join_all(looks).await) {
            match looked {
                Ok(stats) => rows.push(row(task, &stats)),
                Err(failure) if named => drop(each.take(Err::<(), _>(failure))),
                // If all tasks are shown, one of them may end in between.
                Err(_) => {}
            }
        }
        if rows.is_empty() && !each.is_well() {
            return Ok(each.exit());
        }
        if !once && std::io::stdout().is_terminal() {
            // Moves to the top left, and clears the screen below.
            output::print("\x1b[H\x1b[J")?;
        }
        args.listing.print(&rows)?;
        // A person who watches the other tasks would never see the exit code.
        if once || !each.is_well() {
            return Ok(each.exit());
        }
    }
}

/// Takes a second, because processor usage is a difference of two samples.
async fn sample(client: &Client, task: &Found) -> Result<Stats, Failure> {
    let mut client = client.again().await?;
    Ok(client.get(&format!("/containers/{}/stats?stream=0", task.id)).await?)
}

fn row(task: &Found, stats: &Stats) -> StatsRow {
    let (used, limit) = (stats.memory_used(), stats.memory_stats.limit);
    let percent = if limit == 0 { 0.0 } else { used as f64 / limit as f64 * 100.0 };
    let (mut received, mut sent) = (0, 0);
    for network in stats.networks.values() {
        received += network.rx_bytes;
        sent += network.tx_bytes;
    }
    let of = |op: &str| -> u64 {
        let entries = stats.blkio_stats.io_service_bytes_recursive.iter();
        entries.filter(|entry| entry.op == op).map(|entry| entry.value).sum()
    };
    StatsRow {
        id: task.id.clone(),
        name: task.name.clone(),
        cpu: format!("{:.2}%", stats.cpu_percent()),
        memory: format!("{} / {}", binary(used), binary(limit)),
        memory_percent: format!("{percent:.2}%"),
        network: format!("{} / {}", decimal(received), decimal(sent)),
        block: format!("{} / {}", decimal(of("read")), decimal(of("write"))),
        pids: stats.pids_stats.current.to_string(),
    }
}

/// `12.5MiB`.
fn binary(bytes: u64) -> String {
    scaled(bytes, 1_024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// `12.5MB`.
fn decimal(bytes: u64) -> String {
    scaled(bytes, 1_000.0, &["B", "kB", "MB", "GB", "TB"])
}

fn scaled(bytes: u64, step: f64, units: &[&str]) -> String {
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= step && unit + 1 < units.len() {
        amount /= step;
        unit += 1;
    }
    // Four digits, as in Docker.
    let digits = match amount {
        _ if unit == 0 => 0,
        ..10.0 => 3,
        ..100.0 => 2,
        _ => 1,
    };
    let text = format!("{amount:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_docker_writes_them() {
        for (bytes, text) in
            [(0, "0B"), (1_023, "1023B"), (1_536, "1.5KiB"), (12_897_484, "12.3MiB")]
        {
            assert_eq!(binary(bytes), text);
        }
        assert_eq!(decimal(123_000), "123kB");
        assert_eq!(decimal(1_234_567), "1.235MB");
    }
}
