//! The server of one container: one task, which ends with its handle.
//!
//! The task reads datagrams and accepts connections. The fleet's names are answered on the spot;
//! only queries that others must answer, and connections, get a task of their own. Both kinds of
//! task are bounded, and end with the server. While nobody asks, nothing runs.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};

use crate::counters::{Counters, Outcome};
use crate::service::Service;
use crate::tcp;
use crate::udp::{self, Drained};
use crate::upstream::Upstreams;
use crate::zone::Zone;

/// How many queries may wait for upstream servers. Each holds a socket and some kilobytes. A
/// client that asks more at once loses the newest ones, and repeats them after its own timeout.
const FORWARDS_MAX: usize = 128;

/// How many connections may be open. The newest one above that is closed at once.
const CONNECTIONS_MAX: usize = 16;

/// How long nothing is read or accepted after that failed, so that a lasting failure does not keep
/// a core busy. Accepting fails when the process has no file descriptor left.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// The sockets of one container, opened in its network namespace.
#[derive(Debug)]
pub struct Sockets {
    /// Bound to 127.0.0.11, at the port that port 53 leads to.
    pub udp: std::net::UdpSocket,
    /// The same, listening.
    pub tcp: std::net::TcpListener,
}

/// A running name server; dropping it ends it, with all its tasks and sockets.
#[derive(Debug)]
pub struct NameServer {
    task: AbortHandle,
    udp: Arc<UdpSocket>,
    tcp: Arc<TcpListener>,
}

impl NameServer {
    /// Starts to answer. Errors: the runtime takes no more sockets.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(
        sockets: Sockets,
        zone: Arc<dyn Zone>,
        upstreams: Upstreams,
        counters: Arc<Counters>,
    ) -> io::Result<NameServer> {
        sockets.udp.set_nonblocking(true)?;
        sockets.tcp.set_nonblocking(true)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let random = Mutex::new(StdRng::from_seed(seed));
        let udp = Arc::new(UdpSocket::from_std(sockets.udp)?);
        let tcp = Arc::new(TcpListener::from_std(sockets.tcp)?);
        let server = Server {
            udp: udp.clone(),
            tcp: tcp.clone(),
            service: Arc::new(Service { zone, upstreams, counters, random }),
            forwards: JoinSet::new(),
            connections: JoinSet::new(),
            accepting: Accepting::Now,
        };
        Ok(NameServer { task: tokio::spawn(server.run()).abort_handle(), udp, tcp })
    }

    /// Its sockets, for a [`Keeper`](crate::Keeper).
    pub fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.udp.as_fd(), self.tcp.as_fd()]
    }

    /// Is it still answering? It ends by itself only if the zone panics.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    udp: Arc<UdpSocket>,
    tcp: Arc<TcpListener>,
    service: Arc<Service>,
    forwards: JoinSet<()>,
    connections: JoinSet<()>,
    accepting: Accepting,
}

/// Are connections accepted, or only after the next task among the connections has ended?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepting {
    Now,
    Later,
}

impl Server {
    async fn run(mut self) {
        loop {
            let event = tokio::select! {
                readable = self.udp.readable() => Event::Readable(readable),
                accepted = self.tcp.accept(), if self.accepting == Accepting::Now => {
                    Event::Accepted(accepted.map(|(stream, _)| stream))
                }
                _ = ended(&mut self.forwards) => continue,
                _ = ended(&mut self.connections) => Event::Closed,
            };
            match event {
                Event::Readable(readable) => {
                    let drained = readable.and_then(|()| self.drain());
                    self.take_turns(drained).await;
                }
                Event::Accepted(accepted) => self.connect(accepted),
                Event::Closed => self.accepting = Accepting::Now,
            }
        }
    }

    /// Lets the other tasks of this thread run, if there is more to read than a turn's worth.
    async fn take_turns(&self, drained: io::Result<Drained>) {
        match drained {
            Ok(Drained::Empty) => {}
            Ok(Drained::Partly) => tokio::task::yield_now().await,
            Err(_) => tokio::time::sleep(FAILURE_PAUSE).await,
        }
    }

    fn drain(&mut self) -> io::Result<Drained> {
        let Server { udp, service, forwards, .. } = self;
        udp::drain(udp, service, |asked| {
            if forwards.len() >= FORWARDS_MAX {
                return service.counters.outcome(Outcome::Dropped);
            }
            forwards.spawn(udp::forward(udp.clone(), service.clone(), asked));
        })
    }

    fn connect(&mut self, accepted: io::Result<TcpStream>) {
        match accepted {
            Ok(_) if self.connections.len() >= CONNECTIONS_MAX => {
                self.service.counters.outcome(Outcome::Dropped);
            }
            Ok(stream) => {
                self.connections.spawn(tcp::serve(stream, self.service.clone()));
            }
            // UDP goes on meanwhile: the fleet's names need no further file descriptor.
            Err(_) => {
                self.accepting = Accepting::Later;
                self.connections.spawn(tokio::time::sleep(FAILURE_PAUSE));
            }
        }
    }
}

enum Event {
    Readable(io::Result<()>),
    Accepted(io::Result<TcpStream>),
    Closed,
}

/// Waits for the next task to end; for ever if there is none.
async fn ended(tasks: &mut JoinSet<()>) {
    if tasks.join_next().await.is_none() {
        pending::<()>().await;
    }
}
