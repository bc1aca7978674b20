//! A network namespace with a server at 127.0.0.11, port 53, and the files that send resolvers
//! there. The server and its upstream server run outside, as in the agent.
//!
//! The namespaces belong to one thread and what it starts, and end with it.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use overlay_dns::{Counters, Counts, Dialer, HostDialer, NameServer, Sockets, Upstream, Upstreams};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

use crate::upstream::{Behaviour, TestUpstream};
use crate::zone::TestZone;

/// The inside of a container.
pub struct Container {
    counters: Arc<Counters>,
}

impl Container {
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// What a program prints; it may fail.
    pub fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> String {
        let program = program.as_ref();
        let output = Command::new(program).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// May this test make namespaces? If not, says so.
pub fn ready() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: namespaces need root");
    }
    root
}

/// Where the upstream server of a container is.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// There is none.
    Nowhere,
    /// On the node.
    Outside(Behaviour),
    /// In the container's namespace.
    Inside(Behaviour),
}

/// Runs `body` in a container with this resolv.conf (after the line of the server).
pub fn inside(options: &str, place: Place, body: impl FnOnce(&Container) + Send) {
    let (give_sockets, take_sockets) = mpsc::channel();
    let (give_counters, take_counters) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    thread::scope(|threads| {
        threads.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (own, inner, namespace) = take_sockets.recv().expect("sockets");
                let (upstream, dialer): (_, Arc<dyn Dialer>) = match place {
                    Place::Nowhere => (None, Arc::new(HostDialer)),
                    Place::Outside(behaviour) => {
                        (Some(TestUpstream::start(behaviour).await), Arc::new(HostDialer))
                    }
                    Place::Inside(behaviour) => {
                        let upstream = TestUpstream::start_on(inner, behaviour);
                        (Some(upstream), Arc::new(NamespaceDialer(namespace)))
                    }
                };
                let list = upstream
                    .iter()
                    .map(|up| Upstream { address: up.address, dialer: dialer.clone() });
                let list = list.collect();
                let counters = Arc::<Counters>::default();
                let _server = NameServer::start(
                    own,
                    Arc::new(TestZone::new()),
                    Upstreams::new(list),
                    counters.clone(),
                )
                .expect("it starts");
                give_counters.send(counters).expect("somebody waits");
                let _ = stopped.await;
            });
        });
        let inside = threads.spawn(move || {
            let folder = enter(options);
            let all = (sockets(), crate::server::sockets(), namespace());
            give_sockets.send(all).expect("somebody waits");
            let counters = take_counters.recv().expect("the server runs");
            body(&Container { counters });
            drop(folder);
        });
        let result = inside.join();
        drop(stop);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Moves this thread into namespaces of its own.
fn enter(options: &str) -> tempfile::TempDir {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("new namespaces");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("/etc/resolv.conf", format!("nameserver 127.0.0.11\n{options}")),
        ("/etc/nsswitch.conf", "hosts: dns\n".to_owned()),
    ];
    for (index, (target, text)) in files.iter().enumerate() {
        let source = folder.path().join(index.to_string());
        fs::write(&source, text).expect("written");
        mount(Some(&source), *target, none, MsFlags::MS_BIND, none).expect("mounted");
    }
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.expect("iproute2 is installed").success());
    folder
}

/// The network namespace of this thread.
fn namespace() -> File {
    File::open("/proc/thread-self/ns/net").expect("proc is mounted")
}

/// Opens sockets in a namespace, as the agent does for a server that only a container reaches.
struct NamespaceDialer(File);

impl NamespaceDialer {
    fn there<T>(&self, open: impl FnOnce() -> T) -> T {
        let here = namespace();
        setns(&self.0, CloneFlags::CLONE_NEWNET).expect("there");
        let opened = open();
        setns(&here, CloneFlags::CLONE_NEWNET).expect("back");
        opened
    }
}

impl Dialer for NamespaceDialer {
    fn udp(&self, server: SocketAddr) -> io::Result<UdpSocket> {
        self.there(|| HostDialer.udp(server))
    }

    fn tcp(&self, server: SocketAddr) -> io::Result<TcpSocket> {
        self.there(|| HostDialer.tcp(server))
    }
}

fn sockets() -> Sockets {
    Sockets {
        udp: UdpSocket::bind("127.0.0.11:53").expect("a free port"),
        tcp: TcpListener::bind("127.0.0.11:53").expect("a free port"),
    }
}
