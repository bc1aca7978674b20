//! The agents' memory with many networks and services.

use super::report::{Measured, Report};
use super::shop::{IDLE, Shop};
use crate::bench::figures::worst;
use crate::bench::process::status_mib;
use anyhow::Result;
use std::time::Duration;

/// Networks, and services on each.
const NETWORKS: usize = 20;
const SERVICES: usize = 5;

/// The largest agent's memory; in a fleet that has done nothing else before.
pub fn measure(shop: &Shop, report: &mut Report) -> Result<()> {
    // The tasks of `cli`, one on each node, stay.
    let mut tasks = shop.fleet.nodes.len();
    for network in 0..NETWORKS {
        let network = format!("net{network}");
        shop.network(&network, &[])?;
        for service in 0..SERVICES {
            let name = format!("{network}-{service}");
            shop.create(&name, &["--network", &network], &IDLE)?;
            tasks += 1;
        }
    }
    shop.fleet.calm(tasks, Duration::from_secs(5))?;
    let agents = shop.fleet.agents()?;
    let figures = [
        ("agent_rss_mib", "VmRSS:"),
        ("agent_rss_anon_mib", "RssAnon:"),
        ("agent_rss_file_mib", "RssFile:"),
    ];
    for (figure, field) in figures {
        let sizes = agents.iter().map(|pid| status_mib(*pid, field)).collect::<Result<Vec<_>>>()?;
        let each: Vec<String> = sizes.iter().map(|size| format!("{size:.1}")).collect();
        let note = format!("of {}", each.join(", "));
        report.add(figure, Measured::value(worst(&sizes)).note(note));
    }
    Ok(())
}
