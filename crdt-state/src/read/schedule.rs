//! The runs of jobs that nodes declared.

use std::collections::BTreeMap;

use crate::id::{NodeId, ServiceId};
use crate::key::Kind;
use crate::replica::Replica;
use crate::schedule::RunReport;

/// What all nodes declared of the runs of a job, by node.
pub fn runs_of(replica: &Replica, service: ServiceId) -> BTreeMap<NodeId, RunReport> {
    let reports = replica.keys(Kind::SCHEDULED_RUNS).filter_map(|key| {
        let (owner, report) = replica.owned::<RunReport>(&key)?;
        (report.service == service).then_some((owner, report))
    });
    reports.collect()
}
