//! The three files that a container gets from its node: `/etc/hosts`, `/etc/resolv.conf` and
//! `/etc/hostname`, written into the run's folder and mounted.
//!
//! A container on the node's own network gets the node's content, as in Docker. The files are the
//! run's own: what a program writes into them ends with the run. No name server is ever invented.

use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crdt_state::spec::{Dns, NetworkMode};

use super::{BundleError, BundleInput};
use crate::refusal::StartError;

/// The longest host name of Linux is 64 bytes, of the DNS 63.
const HOSTNAME_BYTES_MAX: usize = 63;

/// Where the fleet's name server answers in every container: configurations in the wild hold the
/// address that Docker's has.
pub const NAME_SERVER: &str = "127.0.0.11";

/// The fleet's names have no dot and are served bare. Without this every lookup of one would first
/// ask the search domains, which are somebody else's: a node that lost its uplink would wait for each
/// of them, and musl would give up. Docker has the same line.
const BARE_FIRST: &str = "options ndots:0\n";

/// A file of the run's folder and where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFile {
    /// On the node.
    pub path: PathBuf,
    /// In the container.
    pub target: &'static str,
}

/// Writes the files of a run.
pub fn write(input: &BundleInput<'_>) -> Result<Vec<RunFile>, StartError> {
    let container = &input.template().container;
    check_hostname(input.hostname)?;
    let node_hosts = match container.network {
        NetworkMode::Host => input.machine.hosts.as_str(),
        NetworkMode::None => "",
    };
    let mut added = container.hosts.clone();
    let mut dns = container.dns.clone();
    if input.network.is_some() {
        added.extend(own_addresses(input));
        // The servers of the service are asked by the fleet's own.
        dns.nameservers = vec![NAME_SERVER.to_owned()];
    }
    let mut resolv_conf = resolv_conf(&input.machine.resolv_conf, &dns)?;
    if input.network.is_some() && !sets_ndots(&resolv_conf) {
        resolv_conf.push_str(BARE_FIRST);
    }
    let contents = [
        ("hosts", "/etc/hosts", hosts(node_hosts, &added, input.hostname)?),
        ("resolv.conf", "/etc/resolv.conf", resolv_conf),
        ("hostname", "/etc/hostname", format!("{}\n", input.hostname)),
    ];
    contents.into_iter().map(|(name, target, text)| write_one(input, name, target, &text)).collect()
}

/// The container's addresses on the fleet's networks, with its name.
fn own_addresses(input: &BundleInput<'_>) -> impl Iterator<Item = String> {
    let addresses = input.start.interfaces.iter().flat_map(|interface| &interface.addresses);
    addresses.map(|ip| format!("{ip} {}", input.hostname))
}

fn write_one(
    input: &BundleInput<'_>,
    name: &str,
    target: &'static str,
    text: &str,
) -> Result<RunFile, StartError> {
    let path = input.run_dir.join(name);
    let write = |path: &Path| {
        fs::write(path, text)?;
        // Any user of the container may read them, whatever the agent's umask.
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
    };
    match write(&path) {
        Ok(()) => Ok(RunFile { path, target }),
        Err(source) => Err(StartError::RunDir { path: path.display().to_string(), source }),
    }
}

fn check_hostname(name: &str) -> Result<(), BundleError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let good = (1..=HOSTNAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits);
    if good { Ok(()) } else { Err(BundleError::Hostname(name.to_owned())) }
}

/// The node's lines (if the container uses the node's network), then the service's entries, then
/// the container's own name unless an earlier line has it already.
fn hosts(node: &str, added: &[String], hostname: &str) -> Result<String, BundleError> {
    const OWN: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    let mut text = if node.trim().is_empty() { OWN.to_owned() } else { node.to_owned() };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for line in added {
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        let names: Vec<&str> = words.collect();
        let Some(address) = address.filter(|_| !names.is_empty()) else {
            return Err(BundleError::HostEntry(line.clone()));
        };
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let known = lines.flat_map(|line| line.split_whitespace().skip(1)).any(|name| name == hostname);
    if !known {
        let _ = writeln!(text, "127.0.1.1\t{hostname}");
    }
    Ok(text)
}

/// The node's file; each of the three kinds of lines is replaced by the service's values, if given.
fn resolv_conf(node: &str, dns: &Dns) -> Result<String, BundleError> {
    let servers = dns.nameservers.iter().map(|server| match server.parse::<IpAddr>() {
        Ok(_) => Ok(format!("nameserver {server}")),
        Err(_) => Err(BundleError::NameServer(server.clone())),
    });
    let servers = servers.collect::<Result<Vec<String>, _>>()?;
    let one_line = |word: &str, values: &[String]| match values {
        [] => vec![],
        values => vec![format!("{word} {}", values.join(" "))],
    };
    // As in Docker, a search list of "." means none at all.
    let search = if dns.search == ["."] { vec![] } else { one_line("search", &dns.search) };
    let replaced: [(&[&str], bool, Vec<String>); 3] = [
        (&["nameserver"], !servers.is_empty(), servers),
        (&["search", "domain"], !dns.search.is_empty(), search),
        (&["options"], !dns.options.is_empty(), one_line("options", &dns.options)),
    ];
    let gone = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        replaced.iter().any(|(words, given, _)| *given && words.contains(&word))
    };
    let kept = node.lines().filter(|line| !gone(line)).map(str::to_owned);
    let lines = kept.chain(replaced.iter().flat_map(|(_, _, lines)| lines.clone()));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// Does the file say how many dots a name needs to be asked as it is first?
fn sets_ndots(resolv_conf: &str) -> bool {
    let options = resolv_conf.lines().filter_map(|line| line.trim_start().strip_prefix("options"));
    options.flat_map(str::split_whitespace).any(|option| option.starts_with("ndots:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_container_knows_its_own_name_and_localhost() {
        let text = hosts("", &[], "web-1").expect("nothing is added");
        assert!(text.contains("127.0.0.1\tlocalhost\n"), "{text}");
        assert!(text.ends_with("127.0.1.1\tweb-1\n"), "{text}");
    }

    #[test]
    fn on_the_nodes_network_it_sees_the_nodes_hosts_and_what_is_added() {
        let added = words(&["192.0.2.7 db database", "2001:db8::1 web-1"]);
        let text = hosts("127.0.0.1 localhost node-1", &added, "web-1").expect("well formed");
        let expected = "127.0.0.1 localhost node-1\n192.0.2.7\tdb database\n2001:db8::1\tweb-1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_host_entry_that_is_none_is_refused() {
        for line in ["db", "192.0.2.7", "192.0.2.300 db", "db 192.0.2.7"] {
            let refused = hosts("", &words(&[line]), "web-1");
            assert!(matches!(refused, Err(BundleError::HostEntry(_))), "{line}");
        }
    }

    #[test]
    fn what_the_service_says_of_names_replaces_what_the_node_says() {
        let node = "# by hand\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch shop.example\n";
        let same = resolv_conf(node, &Dns::default()).expect("nothing is said");
        assert_eq!(same, node);
        let dns = Dns {
            nameservers: words(&["192.0.2.53", "2001:db8::53"]),
            options: words(&["ndots:2", "rotate"]),
            ..Dns::default()
        };
        let text = resolv_conf(node, &dns).expect("well formed");
        let expected = "# by hand\nsearch shop.example\nnameserver 192.0.2.53\n\
                        nameserver 2001:db8::53\noptions ndots:2 rotate\n";
        assert_eq!(text, expected);
        let dns = Dns { search: words(&["."]), ..Dns::default() };
        assert!(!resolv_conf(node, &dns).expect("well formed").contains("search"));
        let dns = Dns { nameservers: words(&["dns.example"]), ..Dns::default() };
        assert!(matches!(resolv_conf(node, &dns), Err(BundleError::NameServer(_))));
    }

    #[test]
    fn the_number_of_dots_is_that_of_the_service_or_the_node() {
        for (text, is_set) in [
            ("nameserver 192.0.2.1\noptions edns0 ndots:2\n", true),
            ("options edns0\noptions ndots:0\n", true),
            ("options edns0\n# options ndots:2\nsearch ndots:2\n", false),
        ] {
            assert_eq!(sets_ndots(text), is_set, "{text}");
        }
    }

    #[test]
    fn a_host_name_is_one_line_that_the_kernel_takes() {
        for name in ["", "two words", "a\nb", &"a".repeat(64)] {
            assert!(matches!(check_hostname(name), Err(BundleError::Hostname(_))), "{name:?}");
        }
        assert!(check_hostname("web.1.shop-7").is_ok());
    }
}
