//! Whether the kernel's table of neighbours was ever full. There is one table for all network
//! namespaces of a machine. When it is full, packets to new neighbours are lost, and sending on an
//! ordinary socket reports success.

use node_docker::edge::Counters;

use super::Outcome;

/// Checks the kernel's counters, as the agent read them.
pub(super) fn check(counted: &Counters) -> Outcome {
    let times = |family: &str| {
        let name = format!("machine.neighbours.{family}.overflows");
        counted.counters.get(&name).copied().unwrap_or(0)
    };
    let worst = ["ipv4", "ipv6"].into_iter().max_by_key(|family| times(family));
    match worst.map(|family| (times(family), family)) {
        Some((times @ 1.., family)) => Outcome::Warning(
            format!(
                "the table was full {times} times since the machine started: packets to new \
                 neighbours were lost"
            ),
            format!("sysctl -w net.{family}.neigh.default.gc_thresh3=8192"),
        ),
        _ => Outcome::Ok("the table was never full".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflows_are_told_with_the_setting() {
        let counted = |ipv4: u64| {
            let mut counted = Counters::default();
            for (family, times) in [("ipv4", ipv4), ("ipv6", 0)] {
                let name = format!("machine.neighbours.{family}.overflows");
                counted.counters.insert(name, times);
            }
            counted
        };
        assert!(matches!(check(&Counters::default()), Outcome::Ok(_)), "an older agent");
        assert!(matches!(check(&counted(0)), Outcome::Ok(_)));
        let Outcome::Warning(what, hint) = check(&counted(16)) else { panic!("it was full") };
        assert!(what.contains("full 16 times") && hint.contains("net.ipv4"), "{what}: {hint}");
    }
}
