//! The kernel's table of neighbours: one for all network namespaces of a machine. When it is full,
//! packets to new neighbours are lost, and sending on an ordinary socket reports success.
//!
//! A socket with `IP_RECVERR`, such as the transport's, gets errors for its own lost packets only.
//! The kernel's counters, which are read on request, show the overflows of the whole machine.

use std::path::Path;

/// How often the tables of IPv4 and of IPv6 were full since the machine started, below `/proc`.
pub(super) fn overflows(proc: &Path) -> [(u64, &'static str); 2] {
    [("arp_cache", "ipv4"), ("ndisc_cache", "ipv6")].map(|(file, family)| {
        let text = std::fs::read_to_string(proc.join("net/stat").join(file)).unwrap_or_default();
        (sum(&text), family)
    })
}

/// The sum of the column `table_fulls` over all processors. Old kernels do not have it.
fn sum(text: &str) -> u64 {
    let mut lines = text.lines();
    let mut names = lines.next().unwrap_or_default().split_whitespace();
    let Some(column) = names.position(|name| name == "table_fulls") else { return 0 };
    let counts = lines.filter_map(|line| line.split_whitespace().nth(column));
    counts.filter_map(|count| u64::from_str_radix(count, 16).ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflows_of_all_processors_are_added_up() {
        let dir = tempfile::tempdir().expect("a directory");
        let stat = dir.path().join("net/stat");
        assert_eq!(overflows(dir.path()), [(0, "ipv4"), (0, "ipv6")], "an old kernel");
        std::fs::create_dir_all(&stat).expect("made");
        let head = "entries  allocs   forced_gc_runs unresolved_discards table_fulls\n";
        let write = |file: &str, fulls: [&str; 2]| {
            let rows = fulls.map(|count| format!("00000400 00000001 00000002 00000003 {count}\n"));
            std::fs::write(stat.join(file), format!("{head}{}", rows.concat())).expect("written");
        };
        write("arp_cache", ["0000000f", "00000001"]);
        write("ndisc_cache", ["00000000", "00000000"]);
        assert_eq!(overflows(dir.path()), [(16, "ipv4"), (0, "ipv6")]);
    }
}
