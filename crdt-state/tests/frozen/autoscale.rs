//! What operators ask of autoscaling, and what nodes report of it.

use crdt_state::autoscale::{Autoscale, DeclaredCount, ScalingReport, ScalingReports};

use crate::{Differing, SERVICE};

#[test]
fn autoscaling_and_its_reports_are_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let asked = Autoscale { min: 2, max: 10, cpu: Some(60), memory: None };
    differing.check("Autoscale", &Some(asked), "0101020a013c00");
    differing.check("Autoscale, taken off", &None::<Autoscale>, "0100");
    let declared = Some(DeclaredCount { round: 3, count: 7 });
    let said = ScalingReport { tasks: 2, cpu: 150, memory: 40, declared };
    let said = ScalingReports::from([(SERVICE, said)]);
    let bytes = "010102020202020202020202020202020202029628010307";
    differing.check("ScalingReports", &said, bytes);
    differing.end();
}
