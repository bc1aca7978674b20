//! The name server of real containers: the servers, search domains and options of a service, on
//! networks with and without a way out; and while the agent is restarted. As root only.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Deref;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use test_lab::{TestLab, busybox_image::IMAGE, until_within};

/// A resolver waits for five seconds where nobody answers.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Once nothing is in the way any more: the agent tries every second, and the machine may be busy.
const AGAIN_MAX: Duration = Duration::from_secs(4);

/// Where the name server of a container listens, behind the port that is asked.
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const NAME_SERVER_PORT: u16 = 253;

/// Serves one name of a domain of its own in a task, until the test ends, at all addresses of the
/// task, as name servers do. By TCP it only takes what comes.
fn serve_printer(namespace: File) -> TcpListener {
    let bind = move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("it is a namespace");
        let udp = UdpSocket::bind("0.0.0.0:53").expect("nobody else serves there");
        (udp, TcpListener::bind("0.0.0.0:53").expect("nobody else serves there"))
    };
    let (socket, listener) = std::thread::spawn(bind).join().expect("it is bound");
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let _ = socket.send_to(&answer(&query[..length]), from);
        }
    });
    listener
}

/// The address of `printer.lan`. No other name exists.
fn answer(query: &[u8]) -> Vec<u8> {
    let name = b"\x07printer\x03lan\0";
    let (is_known, is_address) = (query[12..].starts_with(name), query[12..].get(name.len() + 1));
    let mut answer = query.to_vec();
    // An answer, recursion is available; NXDOMAIN. Nothing but the question is in it.
    (answer[2], answer[3]) = (0x81, if is_known { 0x80 } else { 0x83 });
    answer[6..12].fill(0);
    if is_known && is_address == Some(&1) {
        answer.truncate(12 + name.len() + 4);
        answer[7] = 1;
        answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x09");
    }
    answer
}

/// Asks the name server of a container again and again, whether or not it
/// answers, as the programs in it do.
struct NameClient {
    is_over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

/// Some hundred queries wait in a socket at most, which is more than are sent in ten seconds.
const QUERY_PAUSE: Duration = Duration::from_millis(50);

impl NameClient {
    fn begin(namespace: File) -> NameClient {
        let (is_over, answers) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let (until, count) = (is_over.clone(), answers.clone());
        let thread = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("it is a namespace");
            let (mut asked, mut failures) = (Vec::new(), Vec::new());
            while !until.load(Ordering::Relaxed) {
                asked.push(NameClient::ask());
                std::thread::sleep(QUERY_PAUSE);
                asked.retain(|socket| match NameClient::hear(socket) {
                    Ok(()) => count.fetch_add(1, Ordering::Relaxed) == usize::MAX,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => true,
                    Err(error) => {
                        failures.push(error.to_string());
                        false
                    }
                });
            }
            failures.extend(asked.iter().map(|_| "not answered".to_owned()));
            failures
        });
        NameClient { is_over, answers, thread }
    }

    /// A libc takes a new socket for each query.
    fn ask() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect("127.0.0.11:53").expect("it takes no packet");
        socket.set_nonblocking(true).expect("it is open");
        // One question: the address of `dns`.
        let question = b"\x47\x11\x01\0\0\x01\0\0\0\0\0\0\x03dns\0\0\x01\0\x01";
        socket.send(question).expect("a new socket has room");
        socket
    }

    fn hear(socket: &UdpSocket) -> std::io::Result<()> {
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        match answer[..length] {
            // No error, and one address.
            [0x47, 0x11, _, code, _, _, 0, 1, ..] if code & 15 == 0 => Ok(()),
            _ => Err(std::io::Error::other(format!("answered {:?}", &answer[..length]))),
        }
    }

    fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Nothing was refused. Two may be lost: what the agent had taken when it died, and the last.
    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let failures = self.thread.join().expect("it only asks");
        let lost = failures.iter().filter(|failure| *failure == "not answered").count();
        assert!(lost == failures.len() && lost <= 2, "{failures:?}");
    }
}

struct Office {
    lab: TestLab,
}

impl Deref for Office {
    type Target = TestLab;

    fn deref(&self) -> &TestLab {
        &self.lab
    }
}

impl Office {
    fn succeed(&self, words: &[&str]) -> String {
        self.edgectl(1, words)
    }

    /// A service of one task that sleeps.
    fn create(&self, name: &str, flags: &[&str]) {
        let create = ["service", "create", "-d", "--no-resolve-image", "--init", "--name", name];
        self.succeed(&[&create[..], flags, &[IMAGE, "/bin/sleep", "100000"]].concat());
    }

    /// What a program in the task of a service prints, whether or not it succeeds.
    fn inside(&self, service: &str, words: &[&str]) -> String {
        let task = format!("{service}.1");
        let output = self.edgectl_output(1, &[&["exec", &task], words].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn resolve(&self, service: &str, name: &str) -> String {
        self.inside(service, &["nslookup", name])
    }

    /// The network namespace of the first task of a service.
    fn namespace(&self, service: &str) -> std::io::Result<File> {
        let task = self.succeed(&["service", "ps", "-q", "--no-trunc", service]);
        let task = task.split_whitespace().next().unwrap_or_default();
        File::open(self.lab.dir.join("n1/edge.networks/task").join(format!("{task}.1")))
    }

    /// What `nft` says in the namespace of the node.
    fn nft(&self, words: &[&str]) -> String {
        let space = format!("--net={}", self.host(1).display());
        let output = Command::new("nsenter").args([&space, "nft"]).args(words).output();
        String::from_utf8_lossy(&output.expect("nft is installed").stdout).into_owned()
    }
}

#[test]
fn a_container_asks_the_servers_and_domains_of_its_service_and_waits_for_the_next_agent() {
    let Some(lab) = TestLab::up('d', 1).with_namespaces() else { return };
    let office = Office { lab };
    office.import_image();
    office.succeed(&["network", "create", "--internal", "inner"]);
    office.succeed(&["network", "create", "outer"]);
    office.create("dns", &["--network", "inner"]);
    let server = "{{with index .Endpoint.VirtualIPs 0}}{{.Addr}}{{end}}";
    let server = office.succeed(&["service", "inspect", "--format", server, "dns"]);
    let server = server.trim().split('/').next().expect("an address").to_owned();
    office.until("it has a namespace", || office.namespace("dns").is_ok());
    let namespace = office.namespace("dns").expect("it was just there");
    let listener = serve_printer(namespace);
    office.until("it has its own name server", || office.resolve("dns", "dns").contains(&server));

    // A server on a network that leads nowhere else, by its virtual address.
    let dns = ["--dns", &server, "--dns-search", "lan", "--dns-option", "ndots:1"];
    office.create("cli", &[&["--network", "inner"], &dns[..]].concat());
    office
        .until("its server answers", || office.resolve("cli", "printer.lan").contains("192.0.2.9"));
    // A name without a dot is searched in the domain.
    assert!(office.resolve("cli", "printer").contains("192.0.2.9"));
    let file = office.inside("cli", &["/bin/busybox", "cat", "/etc/resolv.conf"]);
    for line in ["nameserver 127.0.0.11", "search lan", "options ndots:1"] {
        assert_eq!(file.matches(line).count(), 1, "{file}");
    }
    assert!(!file.contains(&server) && !file.contains("ndots:0"), "{file}");

    // A container with a way out reaches a server by either of its networks.
    let both = ["--network", "outer", "--network", "inner", "--dns", &server];
    office.create("both", &both);
    office.until("its server answers", || {
        office.resolve("both", "printer.lan").contains("192.0.2.9")
    });
    // It is a service like others: asked by its name, and by TCP too.
    let said = office.inside("both", &["nslookup", "printer.lan", "dns"]);
    assert!(said.contains("192.0.2.9"), "{said}");
    office.inside("both", &["/bin/busybox", "timeout", "2", "/bin/busybox", "nc", "dns", "53"]);
    listener.set_nonblocking(true).expect("it is open");
    listener.accept().expect("the connection that was just made");
    assert!(
        office.inside("both", &["/bin/busybox", "cat", "/etc/resolv.conf"]).contains("ndots:0")
    );

    check_own_server(&office);

    // Nobody waits for a server that cannot be reached.
    let update = ["service", "update", "-d", "--no-resolve-image", "--dns-rm", &server];
    let update = [&update[..], &["--dns-add", "198.51.100.53", "--dns-search-rm", "lan", "cli"]];
    office.succeed(&update.concat());
    office.until("it has another server", || {
        let file = office.inside("cli", &["/bin/busybox", "cat", "/etc/resolv.conf"]);
        file.contains("nameserver") && !file.contains("search lan")
    });
    let begun = Instant::now();
    let said = office.resolve("cli", "printer.lan");
    assert!(
        said.contains("NXDOMAIN") && begun.elapsed() < AT_ONCE,
        "{:?}: {said}",
        begun.elapsed()
    );
    assert!(office.resolve("cli", "dns.inner").contains(&server), "the fleet's names stay");

    check_ipv6_alone(&office);
    check_that_queries_wait(&office);
    check_refused_server(&office, &server);
    check_former_identity(&office);
}

/// On a network with IPv6 only there is no other address, and no answer of the other family.
fn check_ipv6_alone(office: &Office) {
    office.succeed(&["network", "create", "--ipv6", "--ipv4=false", "six"]);
    office.create("six", &["--network", "six"]);
    office.until("it resolves itself", || office.resolve("six", "six").contains("Name:"));
    assert!(
        office.inside("six", &["ping", "-c", "1", "-W", "2", "six"]).contains(" 0% packet loss")
    );
    let links = office.inside("six", &["/bin/busybox", "ip", "-o", "addr"]);
    assert!(
        !links.lines().any(|line| line.contains(" inet ") && !line.contains(" lo ")),
        "{links}"
    );
    assert!(links.lines().any(|line| line.contains(" inet6 ") && line.contains("eth0")), "{links}");
}

/// Queries wait while the agent is killed and started, also if the process that keeps their sockets
/// is not the first one.
fn check_that_queries_wait(office: &Office) {
    office.kill_beside(1, "keeper");
    office.until("another one keeps the sockets", || office.process_beside(1, "keeper").is_some());
    let client = NameClient::begin(office.namespace("both").expect("it runs"));
    office.until("it is answered", || client.answers() > 10);
    office.kill_agent(1);
    office.lab.succeed(&["start", "n1"]);
    let answered = client.answers();
    office.until("it is answered again", || client.answers() > answered + 10);
    client.end();
}

/// A server that listens in the container itself, where nobody else reaches it.
fn check_own_server(office: &Office) {
    office.create("own", &["--network", "outer", "--dns", "127.0.0.1"]);
    office.until("it has a namespace", || office.namespace("own").is_ok());
    let _listener = serve_printer(office.namespace("own").expect("it was just there"));
    office.until("its own server answers", || {
        office.resolve("own", "printer.lan").contains("192.0.2.9")
    });
}

/// A name server that cannot be started is told, and started once nothing is in its way any more.
fn check_refused_server(office: &Office, server: &str) {
    let namespace = office.namespace("dns").expect("it runs");
    office.kill_agent(1);
    office.kill_beside(1, "keeper");
    let taken = std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("it is a namespace");
        let begun = Instant::now();
        loop {
            match UdpSocket::bind((NAME_SERVER, NAME_SERVER_PORT)) {
                Ok(socket) => return socket,
                // A killed process has its sockets until it has ended.
                Err(error) => assert!(begun.elapsed() < AT_ONCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let taken = taken.join().expect("it is bound");
    office.lab.succeed(&["start", "n1"]);
    let failures = || office.network_failures(1, "inner");
    office.until("it is told", || failures().contains("task dns.1 has no name server"));
    // Nothing else makes the agent look at its name servers again.
    std::thread::sleep(Duration::from_secs(2));
    assert!(failures().contains("no name server"), "{}", failures());
    drop(taken);
    until_within(AGAIN_MAX, "it has a name server", || {
        office.resolve("dns", "dns").contains(server)
    });
    until_within(AGAIN_MAX, "nothing is told any more", || !failures().contains("no name server"));
}

/// An agent that begins anew removes the tables of the node that was here before it, and no others.
fn check_former_identity(office: &Office) {
    let file = office.lab.dir.join("n1/edge.networks/identity");
    let own = std::fs::read_to_string(&file).expect("the agent names itself");
    office.kill_agent(1);
    let (former, foreign) = ("edgectl-deadbeef", "edgectl-0badcafe");
    for table in [former, "edgectl-deadbeef-tunnel", foreign] {
        office.nft(&["add", "table", "inet", table]);
    }
    std::fs::write(&file, "deadbeef").expect("written");
    office.lab.succeed(&["start", "n1"]);
    office.until("the tables of the former are gone", || {
        !office.nft(&["list", "tables"]).contains(former)
    });
    let tables = office.nft(&["list", "tables"]);
    assert!(tables.contains(foreign) && tables.contains(&format!("edgectl-{own}")), "{tables}");
    assert_eq!(std::fs::read_to_string(&file).expect("the agent names itself"), own);
}
