//! The kernel's table of neighbours: one for all network namespaces of a machine. When it is full,
//! packets to new neighbours vanish while sending says that all is well.
//!
//! The kernel would tell a socket with `IP_RECVERR`. Its errors look to tokio like the end of a
//! socket's writing, for good, and a full socket would then be tried without pause; so what the
//! kernel counts is read when somebody asks.

use std::path::Path;

/// How often the tables of IPv4 and of IPv6 were full since the machine started, below `/proc`.
pub fn overflows(proc: &Path) -> [(u64, &'static str); 2] {
    [("arp_cache", "ipv4"), ("ndisc_cache", "ipv6")].map(|(file, family)| {
        let text = std::fs::read_to_string(proc.join("net/stat").join(file)).unwrap_or_default();
        (sum(&text), family)
    })
}

/// The sum over all processors of the column that counts them. Old kernels have none.
fn sum(text: &str) -> u64 {
    let mut lines = text.lines();
    let mut names = lines.next().unwrap_or_default().split_whitespace();
    let Some(column) = names.position(|name| name == "table_fulls") else { return 0 };
    let counts = lines.filter_map(|line| line.split_whitespace().nth(column));
    counts.filter_map(|count| u64::from_str_radix(count, 16).ok()).sum()
}
