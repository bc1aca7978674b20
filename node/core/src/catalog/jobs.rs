//! What nodes report of jobs: the slots that they completed, and the runs that they declared.

use crdt_state::job::JobReport;
use crdt_state::replica::Replica;
use crdt_state::schedule::RunReport;
use crdt_state::{RecordKey, ServiceId};

use super::{Catalog, Touched};

impl Catalog {
    pub(super) fn update_job(&mut self, replica: &Replica, key: RecordKey, touched: &mut Touched) {
        if let Some((service, node)) = self.job_keys.remove(&key) {
            touched.services.insert(service);
            self.jobs.entry(service).or_default().remove(&node);
        }
        if let Some((node, report)) = replica.owned::<JobReport>(&key) {
            touched.services.insert(report.service);
            self.job_keys.insert(key, (report.service, node));
            self.jobs.entry(report.service).or_default().insert(node, report);
        }
    }

    /// The service is read again: the latest run is its iteration.
    pub(super) fn update_runs(&mut self, replica: &Replica, key: RecordKey, touched: &mut Touched) {
        let before: Option<ServiceId> = self.run_keys.remove(&key).map(|(service, node)| {
            self.runs.entry(service).or_default().remove(&node);
            service
        });
        let after = replica.owned::<RunReport>(&key).map(|(node, report)| {
            self.run_keys.insert(key, (report.service, node));
            self.runs.entry(report.service).or_default().insert(node, report);
            report.service
        });
        if let Some(before) = before.filter(|before| Some(*before) != after) {
            self.update_service(replica, before, touched);
        }
        if let Some(after) = after {
            self.update_service(replica, after, touched);
        }
    }
}
