//! The flows that the kernel remembers (conntrack) in one namespace, and how they are forgotten.
//!
//! A flow keeps its translation as long as packets come: a UDP client that sends every second would
//! stay with a task that left for ever. Connections of TCP and SCTP end by themselves, so they are
//! left alone once they are answered. Who deletes which flows after a change, and when, is in
//! `follower`.
//!
//! A listing takes 10 ms on a machine of 8 GiB however few flows there are: the kernel walks one table
//! of 262,144 buckets for all namespaces. With the flows of some thousand connections, on a machine
//! that is busy with them, it takes a second.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use super::BalancingError;
use super::message::{ACKNOWLEDGE, DUMP, Messages, attribute, family};
use super::socket::NetfilterSocket;

const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const ID: u16 = 12;
const ZONE: u16 = 18;

/// Packets came in both directions.
const IS_ANSWERED: u32 = 1 << 1;

/// TCP's number.
pub(super) const TCP: u8 = 6;
/// UDP's number.
pub(super) const UDP: u8 = 17;
/// SCTP's number.
pub(super) const SCTP: u8 = 132;

/// One end of one direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Its address.
    pub(super) address: IpAddr,
    /// Its port; 0 for protocols without ports.
    pub(super) port: u16,
}

/// A flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    /// Its protocol.
    pub(super) protocol: u8,
    /// Who began it.
    pub(super) from: End,
    /// Where to, as the sender sees it.
    pub(super) to: End,
    /// Who answers: the task, if the destination was translated.
    pub(super) answers_from: End,
    /// Where the answer goes: this machine, if the source was translated.
    pub(super) answers_to: End,
    /// Has anybody answered?
    pub(super) is_answered: bool,
}

impl Flow {
    /// Whether it is the same on both sides of this machine.
    pub(super) fn is_translated(&self) -> bool {
        self.to != self.answers_from || self.from != self.answers_to
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (protocol, from, to) = read_tuple(attribute(body, TUPLE_ORIGINAL)?)?;
        let (_, answers_from, answers_to) = read_tuple(attribute(body, TUPLE_REPLY)?)?;
        let is_answered = is_answered(body);
        Some(Self { protocol, from, to, answers_from, answers_to, is_answered })
    }
}

fn read_tuple(tuple: &[u8]) -> Option<(u8, End, End)> {
    let (addresses, ports) = (attribute(tuple, 1)?, attribute(tuple, 2)?);
    let address = |v4, v6| {
        let v4 = attribute(addresses, v4).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
        let v6 = || attribute(addresses, v6).and_then(|octets| <[u8; 16]>::try_from(octets).ok());
        v4.map(|octets| Ipv4Addr::from(octets).into())
            .or_else(|| v6().map(|octets| Ipv6Addr::from(octets).into()))
    };
    let port = |kind| {
        let port = attribute(ports, kind).and_then(|port| <[u8; 2]>::try_from(port).ok());
        port.map_or(0, u16::from_be_bytes)
    };
    let protocol = *attribute(ports, 1)?.first()?;
    let from = End { address: address(1, 3)?, port: port(2) };
    let to = End { address: address(2, 4)?, port: port(3) };
    Some((protocol, from, to))
}

/// Can the flow lead elsewhere without harm? No protocol tells its end to both sides, or nobody has
/// answered yet.
fn is_movable(body: &[u8]) -> bool {
    let protocol = || {
        let ports = attribute(attribute(body, TUPLE_ORIGINAL)?, 2)?;
        attribute(ports, 1)?.first().copied()
    };
    !is_answered(body) || !matches!(protocol(), Some(TCP | SCTP))
}

fn is_answered(body: &[u8]) -> bool {
    let status = attribute(body, STATUS).and_then(|status| <[u8; 4]>::try_from(status).ok());
    status.is_none_or(|status| u32::from_be_bytes(status) & IS_ANSWERED != 0)
}

/// What names one flow and no later one with the same addresses and ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlowKey {
    family: u8,
    parts: Vec<(u16, Vec<u8>)>,
}

impl FlowKey {
    fn of(flow: &Flow, body: &[u8]) -> Self {
        const NESTED: u16 = 0x8000;
        let part = |kind, flag| attribute(body, kind).map(|value| (kind | flag, value.to_vec()));
        let parts = [part(TUPLE_ORIGINAL, NESTED), part(ZONE, 0), part(ID, 0)];
        let family = if flow.to.address.is_ipv4() { family::IPV4 } else { family::IPV6 };
        Self { family, parts: parts.into_iter().flatten().collect() }
    }

    fn message(&self, kind: u16) -> Messages {
        let mut message = Messages::default();
        message.push(kind, ACKNOWLEDGE, self.family, |flow| {
            for (kind, value) in &self.parts {
                flow.bytes(*kind, value);
            }
        });
        message
    }
}

/// The flows of one namespace.
pub(super) struct Flows {
    socket: NetfilterSocket,
}

impl Flows {
    /// Opens a namespace.
    pub(super) fn open(namespace: BorrowedFd<'_>) -> Result<Self, BalancingError> {
        let socket = NetfilterSocket::open(namespace).map_err(BalancingError::Open)?;
        Ok(Self { socket })
    }

    /// Deletes a flow, unless it ended meanwhile.
    pub(super) fn delete_one(&mut self, key: &FlowKey) -> Result<(), BalancingError> {
        match self.socket.execute(key.message(DELETE)) {
            Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => Ok(()),
            other => other.map_err(BalancingError::Unanswered),
        }
    }

    /// Is the flow still there, and has nobody answered?
    pub(super) fn is_unanswered(&mut self, key: &FlowKey) -> Result<bool, BalancingError> {
        let mut is_unanswered = false;
        let asked = self.socket.ask(key.message(GET), |body| {
            let same = Flow::read(body).is_some_and(|flow| FlowKey::of(&flow, body) == *key);
            is_unanswered = same && !is_answered(body);
        });
        match asked {
            Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => Ok(false),
            other => other.map(|()| is_unanswered).map_err(BalancingError::Unanswered),
        }
    }

    /// Shows each flow that can lead elsewhere without harm, with a function that makes its key. The
    /// others are passed over unread: a node that serves 1,000 connections per second remembers
    /// 120,000 of them.
    pub(super) fn each_movable(
        &mut self,
        mut show: impl FnMut(&Flow, &dyn Fn() -> FlowKey),
    ) -> Result<(), BalancingError> {
        let mut question = Messages::default();
        question.push(GET, DUMP, family::ANY, |_| ());
        let listed = self.socket.ask(question, |body| {
            if let Some(flow) = Some(body).filter(|body| is_movable(body)).and_then(Flow::read) {
                show(&flow, &|| FlowKey::of(&flow, body));
            }
        });
        match listed {
            // Flows come and go while they are listed; those that stay are all shown.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other.map_err(BalancingError::Unanswered),
        }
    }
}
