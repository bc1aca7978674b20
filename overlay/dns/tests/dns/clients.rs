//! The resolvers of real libcs and tools.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use hickory_proto::op::ResponseCode;

use crate::container::{Container, Place, inside, ready};
use crate::upstream::Behaviour;
use crate::zone::{MANY, v4, v6};

/// In milliseconds: some on an idle machine; every wait of a libc is of seconds.
const AT_ONCE: u64 = 1_000;

/// A program that resolves its arguments, and what its libc is known for.
struct Resolver {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    tcp: Tcp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tcp {
    Yes,
    No,
}

/// How a name was resolved.
#[derive(Debug)]
struct Resolved {
    ok: bool,
    milliseconds: u64,
    addresses: Vec<IpAddr>,
}

impl Resolver {
    fn resolve(&self, container: &Container, names: &[&str]) -> Vec<Resolved> {
        let own = self.arguments.iter().map(String::as_str);
        let arguments: Vec<&str> = own.chain(names.iter().copied()).collect();
        let said = container.run(&self.program, &arguments);
        let all: Vec<Resolved> = said.lines().map(parse).collect();
        assert_eq!(all.len(), names.len(), "{}: {said}", self.name);
        all
    }
}

fn parse(line: &str) -> Resolved {
    let mut words = line.split(' ');
    let mut next = || words.next().expect("a line of a resolver program").to_owned();
    let (_name, status, milliseconds) = (next(), next(), next());
    Resolved {
        ok: status == "ok",
        milliseconds: milliseconds.parse().expect("a number"),
        addresses: words.map(|word| word.parse().expect("an address")).collect(),
    }
}

/// All resolvers that this machine can build. Built once: a program that runs cannot be replaced.
fn resolvers() -> &'static [Resolver] {
    static ALL: OnceLock<Vec<Resolver>> = OnceLock::new();
    ALL.get_or_init(build_all)
}

/// Builds the resolvers; those that are missing are named.
fn build_all() -> Vec<Resolver> {
    let source = |file| format!("{}/tests/dns/programs/{file}", env!("CARGO_MANIFEST_DIR"));
    let (libc, ares, go) = (source("libc.c"), source("ares.c"), source("pure.go"));
    let builds: [(&str, &str, &[&str], Tcp); 4] = [
        ("glibc", "gcc", &[&libc], Tcp::Yes),
        ("musl", "musl-gcc", &["-static", &libc], Tcp::No),
        ("c-ares", "gcc", &[&ares, "-lcares"], Tcp::Yes),
        ("go", "go", &[&go], Tcp::Yes),
    ];
    let mut all = Vec::new();
    for (name, tool, arguments, tcp) in builds {
        match build(name, tool, arguments) {
            Some(program) => all.push(Resolver { name, program, arguments: Vec::new(), tcp }),
            None => eprintln!("skipped: {name}: {tool} is missing or lacks a library"),
        }
    }
    let arguments = vec![source("stdlib.py")];
    if installed("python3", "--version") {
        let program = "python3".into();
        all.push(Resolver { name: "python", program, arguments, tcp: Tcp::Yes });
    }
    all
}

fn build(name: &str, tool: &str, arguments: &[&str]) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join(format!("dns-{name}"));
    let mut command = Command::new(tool);
    if tool == "go" {
        let cache = folder.join("dns-go-cache");
        command
            .arg("build")
            .env("GOCACHE", cache)
            .env("CGO_ENABLED", "0")
            .env("GO111MODULE", "off");
    }
    command.arg("-o").arg(&program).args(arguments);
    command.output().ok()?.status.success().then_some(program)
}

fn installed(tool: &str, argument: &str) -> bool {
    let there = Command::new(tool).arg(argument).output().is_ok();
    if !there {
        eprintln!("skipped: {tool} is not installed");
    }
    there
}

fn set(addresses: &[IpAddr]) -> BTreeSet<IpAddr> {
    addresses.iter().copied().collect()
}

#[test]
fn every_resolver_finds_every_kind_of_name() {
    if !ready() {
        return;
    }
    let expected: [(&str, &[IpAddr]); 6] = [
        ("four", &[v4(1)]),
        ("six", &[v6(1)]),
        ("both", &[v4(2), v6(2)]),
        ("FoUr", &[v4(1)]),
        ("web.Backend", &[v4(3)]),
        ("example.org", &["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]),
    ];
    let resolvers = resolvers();
    inside("", Place::Outside(Behaviour::Answer), |container| {
        for resolver in resolvers {
            let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
            let found = resolver.resolve(container, &names);
            for (found, (_, addresses)) in found.iter().zip(expected) {
                assert!(found.ok, "{}: {found:?}", resolver.name);
                assert_eq!(set(&found.addresses), set(addresses), "{}: {found:?}", resolver.name);
                assert!(found.milliseconds < AT_ONCE, "{}: {found:?}", resolver.name);
            }
            let failed = resolver.resolve(container, &["missing.example", "empty"]);
            for failed in failed {
                assert!(
                    !failed.ok && failed.milliseconds < AT_ONCE,
                    "{}: {failed:?}",
                    resolver.name
                );
            }
        }
    });
}

#[test]
fn every_resolver_gets_all_of_many_addresses_or_the_best_of_them() {
    if !ready() {
        return;
    }
    let resolvers = resolvers();
    inside("", Place::Nowhere, |container| {
        for resolver in resolvers {
            let [found] = &resolver.resolve(container, &["many"])[..] else { unreachable!() };
            let all = (100..100 + MANY.0).chain(200..200 + MANY.1).map(v4).collect::<BTreeSet<_>>();
            match resolver.tcp {
                Tcp::Yes => assert_eq!(set(&found.addresses), all, "{}", resolver.name),
                Tcp::No => {
                    let best = all.iter().copied().take(MANY.0.into()).collect();
                    assert_eq!(set(&found.addresses), best, "{}", resolver.name);
                }
            }
        }
    });
}

#[test]
fn a_single_label_is_found_in_the_search_domain_and_as_it_is() {
    if !ready() {
        return;
    }
    let resolvers = resolvers();
    for options in ["search Backend\n", "search Backend\noptions ndots:0\n"] {
        inside(options, Place::Outside(Behaviour::Code(ResponseCode::NXDomain)), |container| {
            for resolver in resolvers {
                let found = resolver.resolve(container, &["web", "four", "neither"]);
                // With ndots:0, musl never uses the search list (N8).
                let searched = resolver.tcp == Tcp::Yes || !options.contains("ndots");
                let oks: Vec<bool> = found.iter().map(|found| found.ok).collect();
                assert_eq!(oks, [searched, true, false], "{} {options}", resolver.name);
                assert_eq!(found[1].addresses, [v4(1)], "{}", resolver.name);
                assert!(found.iter().all(|found| found.milliseconds < AT_ONCE), "{found:?}");
            }
        });
    }
}

/// A node without an uplink: its search domains are others' to answer, the fleet's names are not.
#[test]
fn with_bare_names_first_silent_servers_delay_no_name_of_the_fleet() {
    if !ready() {
        return;
    }
    let resolvers = resolvers();
    inside("search lan\noptions ndots:0\n", Place::Outside(Behaviour::Silent), |container| {
        for resolver in resolvers {
            for found in resolver.resolve(container, &["four", "both"]) {
                let is_answered = found.ok && found.milliseconds < AT_ONCE;
                assert!(is_answered, "{}: {found:?}", resolver.name);
            }
        }
    });
}

/// On internal networks only (N7): nobody waits for seconds.
#[test]
fn without_upstream_servers_every_resolver_fails_at_once() {
    if !ready() {
        return;
    }
    let resolvers = resolvers();
    inside("search Backend\n", Place::Nowhere, |container| {
        for resolver in resolvers {
            for failed in resolver.resolve(container, &["example.org", "db"]) {
                assert!(
                    !failed.ok && failed.milliseconds < AT_ONCE,
                    "{}: {failed:?}",
                    resolver.name
                );
            }
        }
        assert_eq!(container.counts().forwarded, 0);
    });
}

/// `--dns` with a server on an internal network (DNS-18).
#[test]
fn a_server_that_only_the_container_reaches_is_asked_from_inside() {
    if !ready() {
        return;
    }
    let resolvers = resolvers();
    inside("", Place::Inside(Behaviour::Answer), |container| {
        for resolver in resolvers {
            let [found] = &resolver.resolve(container, &["example.org"])[..] else {
                unreachable!()
            };
            assert_eq!(found.addresses.len(), 2, "{}: {found:?}", resolver.name);
        }
    });
    inside("", Place::Inside(Behaviour::Truncated), |container| {
        for resolver in resolvers.iter().filter(|resolver| resolver.tcp == Tcp::Yes) {
            let [found] = &resolver.resolve(container, &["example.org"])[..] else {
                unreachable!()
            };
            assert_eq!(set(&found.addresses).len(), 301, "{}", resolver.name);
        }
    });
}

#[test]
fn getent_finds_names_and_the_names_of_addresses() {
    if !ready() || !installed("getent", "--version") {
        return;
    }
    inside("", Place::Outside(Behaviour::Answer), |container| {
        assert!(container.run("getent", &["hosts", "four"]).starts_with("10.9.0.1"));
        assert!(container.run("getent", &["ahosts", "six"]).starts_with("fd09::1"));
        let name = container.run("getent", &["hosts", "10.9.0.1"]);
        assert_eq!(name.split_whitespace().last(), Some("four.1.x.Backend"));
        assert_eq!(container.run("getent", &["hosts", "10.9.0.77"]), "");
        assert_eq!(container.counts().forwarded, 0);
    });
}

#[test]
fn nslookup_of_busybox_finds_names() {
    if !ready() || !installed("busybox", "--help") {
        return;
    }
    inside("", Place::Outside(Behaviour::Answer), |container| {
        for (name, expected) in [("four", "10.9.0.1"), ("six", "fd09::1"), ("a.org", "192.0.2.1")] {
            let said = container.run("busybox", &["nslookup", name]);
            assert!(said.contains(&format!("Address: {expected}")), "{said}");
            assert!(!said.contains("can't"), "{said}");
        }
        let said = container.run("busybox", &["nslookup", "missing.example"]);
        assert!(said.contains("NXDOMAIN"), "{said}");
    });
}

/// `dig` checks each message more closely than any libc.
#[test]
fn dig_finds_nothing_to_complain_about() {
    if !ready() || !installed("dig", "-v") {
        return;
    }
    inside("", Place::Outside(Behaviour::Answer), |container| {
        let dig = |arguments: &[&str]| {
            let said = container.run("dig", arguments);
            let complaint = ["WARNING", "malformed", "extra", "parse"];
            assert!(!complaint.iter().any(|word| said.contains(word)), "{said}");
            said
        };
        let short = |arguments: &[&str]| dig(&[arguments, &["+short"]].concat()).trim().to_owned();
        assert_eq!(short(&["four", "A"]), "10.9.0.1");
        assert_eq!(short(&["fOuR", "A", "+tcp"]), "10.9.0.1");
        assert_eq!(short(&["example.org", "AAAA"]), "2001:db8::1");
        assert_eq!(short(&["-x", "10.9.0.1"]), "four.1.x.Backend.");
        assert_eq!(short(&["-x", "fd09::1"]), "four.1.x.Backend.");
        for edns in ["+noedns", "+bufsize=512", "+dnssec"] {
            assert_eq!(short(&["many", "A", edns]).lines().count(), 40, "{edns}");
        }
        let cut = dig(&["many", "A", "+ignore", "+noedns"]);
        assert!(cut.contains(" tc ") && cut.contains("ANSWER: 30"), "{cut}");
        let cut = dig(&["many", "A", "+ignore", "+bufsize=512"]);
        assert!(cut.contains(" tc ") && cut.contains("ANSWER: 29"), "{cut}");
        let none = dig(&["four", "HTTPS"]);
        assert!(none.contains("status: NOERROR") && none.contains("AUTHORITY: 1"), "{none}");
        assert!(dig(&["missing.example"]).contains("status: NXDOMAIN"));
        assert!(dig(&["four", "+edns=1", "+noednsneg"]).contains("status: BADVERS"));
        assert!(dig(&["version.bind", "CH", "TXT"]).contains("status: REFUSED"));
        assert!(dig(&["+opcode=STATUS", "+noedns", "four"]).contains("status: NOTIMP"));
    });
}
