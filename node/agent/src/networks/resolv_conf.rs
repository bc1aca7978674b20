//! The name servers of this node, from its `/etc/resolv.conf`.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

/// The file.
const PATH: &str = "/etc/resolv.conf";

/// The port of name servers.
pub(super) const DNS_PORT: u16 = 53;

/// The node's name servers, read again when the file changes.
#[derive(Debug, Default)]
pub(super) struct HostServers {
    read_at: Option<SystemTime>,
    servers: Vec<SocketAddr>,
}

impl HostServers {
    /// Reads the file if it changed. Returns whether the servers did.
    pub(super) fn refresh(&mut self) -> bool {
        let changed_at = std::fs::metadata(PATH).and_then(|file| file.modified()).ok();
        if changed_at == self.read_at {
            return false;
        }
        self.read_at = changed_at;
        let text = std::fs::read_to_string(PATH).unwrap_or_default();
        let servers = servers(&text);
        let is_changed = servers != self.servers;
        self.servers = servers;
        is_changed
    }

    /// Those of a file that never changes.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> HostServers {
        HostServers { read_at: None, servers: servers(text) }
    }

    /// The servers, in order.
    pub(super) fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }
}

fn servers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_server = words.next() == Some("nameserver");
        words.next().filter(|_| is_server)
    });
    // A link-local address has the name of a link behind it, which std does not read.
    let addresses = lines.filter_map(|word| word.parse::<IpAddr>().ok());
    addresses.map(|ip| SocketAddr::new(ip, DNS_PORT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_are_read_in_order() {
        let text =
            "# by hand\nnameserver 192.0.2.53\nsearch lan\n nameserver ::1 # local\nnameserver x\n";
        let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.53:53", "[::1]:53"]);
        assert_eq!(servers("; nameserver 192.0.2.1\n"), []);
    }
}
