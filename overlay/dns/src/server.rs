//! The server of one container: one task, which ends with its handle.
//!
//! The task reads datagrams and accepts connections. The fleet's names are answered on the spot;
//! only queries that others must answer, and connections, get a task of their own. Both kinds of
//! task are bounded, and end with the server. While nobody asks, nothing runs.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};

use crate::answer::{Verdict, decide};
use crate::counters::{Counters, Outcome};
use crate::forward::Forward;
use crate::reply::Reply;
use crate::request::{Request, Transport};
use crate::udp::{self, Drained};
use crate::upstream::Upstreams;
use crate::{tcp, zone::Zone};

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
    /// Bound to 127.0.0.11, port 53.
    pub udp: std::net::UdpSocket,
    /// The same, listening.
    pub tcp: std::net::TcpListener,
}

/// A running name server; dropping it ends it, with all its tasks and sockets.
#[derive(Debug)]
pub struct NameServer {
    task: AbortHandle,
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
        let server = Server {
            udp: Arc::new(UdpSocket::from_std(sockets.udp)?),
            tcp: TcpListener::from_std(sockets.tcp)?,
            service: Arc::new(Service { zone, upstreams, counters, random }),
            forwards: JoinSet::new(),
            connections: JoinSet::new(),
            accepting: Accepting::Now,
        };
        Ok(NameServer { task: tokio::spawn(server.run()).abort_handle() })
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

/// What all tasks of one server share.
pub(crate) struct Service {
    zone: Arc<dyn Zone>,
    upstreams: Upstreams,
    pub(crate) counters: Arc<Counters>,
    random: Mutex<StdRng>,
}

impl Service {
    /// Decides about a message, and counts it.
    pub(crate) fn decide(&self, message: &[u8], transport: Transport) -> Verdict {
        self.counters.query();
        let verdict = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            decide(message, transport, &*self.zone, &mut *random)
        };
        match verdict {
            Verdict::Forward(request) if self.upstreams.current().is_empty() => {
                nobody_to_ask(&request, transport)
            }
            Verdict::Ignore => {
                self.counters.outcome(Outcome::Rejected);
                Verdict::Ignore
            }
            verdict => verdict,
        }
    }

    /// Asks the upstream servers, and counts what became of it.
    pub(crate) async fn forward(
        &self,
        message: Vec<u8>,
        request: Box<Request>,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let ids = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            std::array::from_fn(|_| random.next_u32() as u16)
        };
        let servers = self.upstreams.current();
        let mut forward = Forward { message, request, transport, ids };
        let answer = forward.run(&servers).await;
        self.counters.outcome(answer.as_ref().map_or(Outcome::Failed, |_| Outcome::Forwarded));
        answer.or_else(|| {
            let failure = Reply::failure(&forward.request, ResponseCode::ServFail);
            failure.encode(forward.request.answer_bytes_max(transport)).ok()
        })
    }
}

/// See [`Upstreams`] for why this is NXDOMAIN.
fn nobody_to_ask(request: &Request, transport: Transport) -> Verdict {
    let reply = Reply::failure(request, ResponseCode::NXDomain).no_name();
    let bytes = reply.encode(request.answer_bytes_max(transport));
    bytes.map_or(Verdict::Ignore, |bytes| Verdict::Reply(bytes, Outcome::Failed))
}

struct Server {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
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
