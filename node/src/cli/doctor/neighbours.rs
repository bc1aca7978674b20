//! Whether the kernel's table of neighbours was ever full; what that means stands in
//! `agent/neighbours.rs`.

use std::path::Path;

use super::Outcome;
use crate::agent::overflows;

/// Looks at the counters below `/proc`.
pub(super) fn check(proc: &Path) -> Outcome {
    let overflows = overflows(proc);
    match overflows.iter().max() {
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
    fn overflows_of_all_processors_are_told_with_the_setting() {
        let dir = tempfile::tempdir().expect("a directory");
        let stat = dir.path().join("net/stat");
        assert!(matches!(check(dir.path()), Outcome::Ok(_)), "an old kernel");
        std::fs::create_dir_all(&stat).expect("made");
        let head = "entries  allocs   forced_gc_runs unresolved_discards table_fulls\n";
        let write = |file: &str, fulls: [&str; 2]| {
            let rows = fulls.map(|count| format!("00000400 00000001 00000002 00000003 {count}\n"));
            std::fs::write(stat.join(file), format!("{head}{}", rows.concat())).expect("written");
        };
        write("arp_cache", ["00000000", "00000000"]);
        write("ndisc_cache", ["00000000", "00000000"]);
        assert!(matches!(check(dir.path()), Outcome::Ok(_)));
        write("arp_cache", ["0000000f", "00000001"]);
        let Outcome::Warning(what, hint) = check(dir.path()) else { panic!("it was full") };
        assert!(what.contains("full 16 times") && hint.contains("net.ipv4"), "{what}: {hint}");
    }
}
