//! How a service is scaled by its load, in the shape of the API.

use crdt_state::ServiceId;
use node_core::autoscale::{AutoscaleStatus, Metric};
use node_docker::service::AutoscaleStatus as Shown;

use super::Api;
use super::failure::Failure;

/// The status of a service at this moment, with when the next number is due.
pub async fn now(api: &Api, id: ServiceId) -> Result<Option<AutoscaleStatus>, Failure> {
    let status = api.read(move |node, now| {
        let service = node.service(id)?;
        node.report(now).autoscale(service)
    });
    status.await
}

/// The status of a service.
pub fn shown(status: &AutoscaleStatus) -> Shown {
    let mean = |metric: Metric| {
        let used = status.used.iter().find(|used| used.metric == metric && status.known > 0);
        used.map(|used| status.mean(used))
    };
    Shown {
        replicas: u64::from(status.count),
        measured: u64::from(status.known),
        cpu_percent: mean(Metric::Cpu),
        memory_percent: mean(Metric::Memory),
        next: status.next.map(u64::from),
        reason: status.reason.code().to_owned(),
        message: status.in_words(),
    }
}
