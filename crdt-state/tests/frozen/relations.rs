//! What services mean to each other, and their slots.

use crdt_state::relation::{Affinities, DependsOn, SlotOrder};

use crate::Differing;

#[test]
fn the_bytes_of_what_services_mean_to_each_other_are_what_they_were() {
    let mut differing = Differing::default();
    let rules = vec!["service==db".to_owned()];
    differing.check("Affinities", &Affinities { rules }, "01010b736572766963653d3d6462");
    let services = vec!["db".to_owned(), "mq".to_owned()];
    differing.check("DependsOn", &DependsOn { services }, "0102026462026d71");
    differing.check("SlotOrder", &SlotOrder::Ascending, "0101");
    differing.end();
}
