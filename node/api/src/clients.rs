//! How many connections the API has open, by client. One program that never closes its connections
//! must not block the API for others, nor use up the files that the node needs to run tasks.
//!
//! A client is a process, as the kernel reports it. A connection beyond a bound is refused with a
//! message, and no open connection is ever closed because of a bound.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// Connections at most, however many files the system allows: some 12 KiB of memory each.
const TOTAL_MAX: u64 = 1_024;

/// Connections at least, however few files there are.
const TOTAL_MIN: u64 = 16;

/// The client of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process; 0 if the kernel does not show it here.
    pub process: i32,
    /// Its user.
    pub user: u32,
}

/// Bounds for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub total: usize,
    /// Of one user.
    pub user: usize,
    /// Of one process.
    pub process: usize,
}

impl Bounds {
    /// A quarter of the files that the agent may have open. One connection uses at most three
    /// files, for an interactive exec. So even then a quarter of all files is left for the node's
    /// own work, and usually three quarters.
    pub fn of(files_max: u64) -> Bounds {
        let total = (files_max / 4).clamp(TOTAL_MIN, TOTAL_MAX);
        let total = usize::try_from(total).expect("at most a thousand");
        Bounds { total, user: total * 3 / 4, process: total / 2 }
    }
}

/// Which bound a connection exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// That of its process.
    #[error(
        "process {0} has {1} connections open, as many as one may; close those that are not used"
    )]
    Process(i32, usize),
    /// That of its user.
    #[error("user {0} has {1} connections open, as many as one may; close those that are not used")]
    User(u32, usize),
    /// That of all.
    #[error("{0} connections are open, as many as there may be; see who holds them: ss -xp")]
    Total(usize),
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    users: BTreeMap<u32, usize>,
    processes: BTreeMap<i32, usize>,
}

/// All clients of the API; clones share the counts.
#[derive(Debug, Clone)]
pub struct Clients {
    bounds: Bounds,
    open: Arc<Mutex<Open>>,
}

/// Counts a connection until this is dropped.
#[derive(Debug)]
pub struct ConnectionGuard {
    peer: Peer,
    open: Arc<Mutex<Open>>,
}

impl Clients {
    /// No client is connected yet.
    pub fn new(bounds: Bounds) -> Clients {
        Clients { bounds, open: Arc::default() }
    }

    /// Counts one more connection, unless a bound forbids it.
    pub fn admit(&self, peer: Peer) -> Result<ConnectionGuard, Full> {
        let mut open = self.open.lock().expect("nothing panics while it holds this");
        let of_process = open.processes.get(&peer.process).copied().unwrap_or(0);
        let of_user = open.users.get(&peer.user).copied().unwrap_or(0);
        if of_process >= self.bounds.process {
            return Err(Full::Process(peer.process, of_process));
        }
        if of_user >= self.bounds.user {
            return Err(Full::User(peer.user, of_user));
        }
        if open.total >= self.bounds.total {
            return Err(Full::Total(open.total));
        }
        open.total += 1;
        *open.users.entry(peer.user).or_default() += 1;
        *open.processes.entry(peer.process).or_default() += 1;
        Ok(ConnectionGuard { peer, open: Arc::clone(&self.open) })
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut open = self.open.lock().expect("nothing panics while it holds this");
        open.total -= 1;
        less(&mut open.users, self.peer.user);
        less(&mut open.processes, self.peer.process);
    }
}

fn less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// A client's connection. It counts for as long as it lasts, upgraded or not.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    place: ConnectionGuard,
}

impl Connection {
    /// A connection that was admitted.
    pub fn new(stream: UnixStream, place: ConnectionGuard) -> Connection {
        Connection { stream, place }
    }

    /// The socket, and the guard that must be kept as long as the socket is open.
    pub fn into_parts(self) -> (UnixStream, ConnectionGuard) {
        (self.stream, self.place)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(process: i32, user: u32) -> Peer {
        Peer { process, user }
    }

    #[test]
    fn one_process_leaves_room_for_another_and_one_user_for_another() {
        let clients = Clients::new(Bounds { total: 8, user: 6, process: 4 });
        let mut places: Vec<ConnectionGuard> =
            (0..4).map(|_| clients.admit(peer(1, 0)).expect("there is room")).collect();
        assert_eq!(clients.admit(peer(1, 0)).expect_err("full"), Full::Process(1, 4));
        places.extend((0..2).map(|_| clients.admit(peer(2, 0)).expect("another process")));
        assert_eq!(clients.admit(peer(3, 0)).expect_err("full"), Full::User(0, 6));
        places.extend((0..2).map(|_| clients.admit(peer(4, 7)).expect("another user")));
        assert_eq!(clients.admit(peer(5, 8)).expect_err("full"), Full::Total(8));
        places.clear();
        assert!(clients.admit(peer(1, 0)).is_ok(), "who hangs up gives its place back");
        assert!(clients.open.lock().expect("held by nobody").processes.is_empty());
    }

    #[test]
    fn the_api_never_has_more_than_three_quarters_of_all_files() {
        for files in [64, 1_024, 4_096, 1_048_576] {
            let bounds = Bounds::of(files);
            assert!(bounds.total as u64 * 3 <= files * 3 / 4);
            assert!(bounds.process < bounds.user && bounds.user < bounds.total);
        }
        assert_eq!(Bounds::of(1_024), Bounds { total: 256, user: 192, process: 128 });
    }
}
