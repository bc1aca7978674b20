//! The one UDP socket. QUIC reads it through [`quinn::AsyncUdpSocket`]; datagrams that are not QUIC
//! are taken out before, opened, and sent to the node.
//!
//! The kernel may return several datagrams of one sender as one buffer (GRO), so a buffer may hold
//! both kinds. An error of the socket is counted and never ends the QUIC endpoint. An error may
//! also belong to a datagram that was sent before ([`socket_errors`]): then the call is repeated.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gossip::seal::{Opened, is_sealed};
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};
use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::Arrival;
use super::counters::{Dropped, TransportCounters};
use super::sealed::Seals;
use super::socket_errors;

/// Pause after an error of the socket.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Pause before QUIC tries again to send when there is no room: a buffer of 200 KB is not empty
/// sooner on a link of 1 Gbit/s.
const ROOM_PAUSE: Duration = Duration::from_millis(1);

pub(super) struct SharedSocket {
    io: UdpSocket,
    state: UdpSocketState,
    seals: Arc<Seals>,
    inbox: mpsc::Sender<Arrival>,
    counters: Arc<TransportCounters>,
    /// There was no room to send.
    is_full: AtomicBool,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

impl SharedSocket {
    pub(super) fn bind(
        addr: SocketAddr,
        seals: Arc<Seals>,
        inbox: mpsc::Sender<Arrival>,
        counters: Arc<TransportCounters>,
    ) -> io::Result<SharedSocket> {
        let socket = std::net::UdpSocket::bind(addr)?;
        socket.set_nonblocking(true)?;
        socket_errors::ask(&socket, socket.local_addr()?)?;
        let state = UdpSocketState::new((&socket).into())?;
        let io = UdpSocket::from_std(socket)?;
        let (is_full, sent_bytes, received_bytes) = Default::default();
        Ok(SharedSocket { io, state, seals, inbox, counters, is_full, sent_bytes, received_bytes })
    }

    /// Sends one datagram or drops it. This calls the system directly, because tokio refuses until
    /// it has seen that there is room, even if there is some.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let to = SockaddrStorage::from(to);
        let send = || sendto(self.io.as_raw_fd(), bytes, &to, MsgFlags::empty());
        match self.again_if_other(|| send().map_err(io::Error::from)) {
            Ok(sent) => self.on_sent(sent),
            Err(error) => self.counters.on_unsent(&error),
        }
    }

    /// Sends, and repeats it once if the error may belong to an earlier datagram.
    fn again_if_other<T>(&self, send: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.count_returned();
                send()
            }
            sent => sent,
        }
    }

    /// Counts datagrams that came back; returns whether there were any.
    fn count_returned(&self) -> bool {
        let returned = std::iter::from_fn(|| socket_errors::next(&self.io));
        returned.map(|error| self.counters.on_returned(error)).count() > 0
    }

    /// Bytes of payload: sent, received.
    pub(super) fn traffic(&self) -> (u64, u64) {
        (self.sent_bytes.load(Relaxed), self.received_bytes.load(Relaxed))
    }

    fn on_sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Takes the sealed datagrams out of a buffer; the rest belongs to QUIC.
    fn take_sealed(&self, buffer: &mut [u8], meta: &mut RecvMeta) {
        self.received_bytes.fetch_add(meta.len as u64, Relaxed);
        let stride = meta.stride.max(1);
        let (mut kept, mut start) = (0, 0);
        while start < meta.len {
            let end = (start + stride).min(meta.len);
            if is_sealed(&buffer[start..end]) {
                self.on_sealed(meta.addr, &buffer[start..end]);
            } else {
                buffer.copy_within(start..end, kept);
                kept += end - start;
            }
            start = end;
        }
        meta.len = kept;
    }

    fn on_sealed(&self, from: SocketAddr, sealed: &[u8]) {
        match self.seals.open(sealed) {
            Ok(Opened { plain, sender }) => {
                let arrival = Arrival::Datagram { sender, from, bytes: plain };
                if self.inbox.try_send(arrival).is_err() {
                    self.counters.on_dropped(Dropped::Flood);
                }
            }
            Err(junk) => self.counters.on_dropped(Dropped::Unsealed(junk)),
        }
    }
}

impl AsyncUdpSocket for SharedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { socket: self, pause: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // A datagram that the system refuses counts as lost on the way, as QUIC expects from a
        // network. quinn's own `send` would hide such an error from us.
        match self.again_if_other(|| self.state.try_send((&self.io).into(), transmit)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_full.store(true, Relaxed);
                return Err(error);
            }
            // A probe for a packet that is larger than the link allows.
            Err(error) if error.raw_os_error() == Some(nix::libc::EMSGSIZE) => return Ok(()),
            Err(error) => {
                self.counters.on_unsent(&error);
                return Ok(());
            }
        }
        self.on_sent(transmit.contents.len());
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let read = || self.state.recv((&self.io).into(), buffers, metas);
            match self.io.try_io(Interest::READABLE, read) {
                Ok(count) => {
                    for (buffer, meta) in buffers.iter_mut().zip(metas.iter_mut()).take(count) {
                        self.take_sealed(buffer, meta);
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) if self.count_returned() => {}
                Err(_) => {
                    self.counters.on_dropped(Dropped::Socket);
                    let waker = cx.waker().clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(ERROR_PAUSE).await;
                        waker.wake();
                    });
                    return Poll::Pending;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }
}

impl fmt::Debug for SharedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSocket").field("io", &self.io).finish_non_exhaustive()
    }
}

/// Waits for room to send with a timer: after a datagram came back, tokio takes the socket for
/// permanently writable.
#[derive(Debug)]
struct Writable {
    socket: Arc<SharedSocket>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pause.is_none() && !self.socket.is_full.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(ROOM_PAUSE)));
        ready!(pause.as_mut().poll(cx));
        self.pause = None;
        self.socket.is_full.store(false, Relaxed);
        Poll::Ready(Ok(()))
    }
}
