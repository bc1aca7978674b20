//! Route netlink, blocking: requests with acknowledgements, several in one send, and dumps.
//!
//! A socket stays in the network namespace of the thread that opened it. What the kernel sends is
//! parsed message by message: one that cannot be parsed is left out, and never a panic.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;

/// The kernel sends dumps in pieces of at most 32 KiB to a reader with as much room.
const RECEIVE_BYTES: usize = 64 * 1024;

/// An acknowledgement takes about 800 bytes of the socket's receive buffer of 208 KiB: with more
/// requests in one send some would be lost.
const BATCH_MESSAGES_MAX: usize = 64;

/// The kernel answers at once; longer means that no answer will come.
const ANSWER_SECONDS_MAX: i64 = 30;

/// A dump that was interrupted by a change is read again at most so often.
const DUMP_ATTEMPTS: u32 = 5;

const HEADER_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_MIN_TYPE: u16 = 16;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// Why the kernel refused a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", io::Error::from_raw_os_error(*.code), said(.text))]
pub struct Refusal {
    /// The error number.
    pub code: i32,
    /// The kernel's own explanation; empty if it gave none.
    pub text: String,
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        let code = error.raw_os_error().unwrap_or(nix::libc::EIO);
        Refusal { code, text: String::new() }
    }
}

/// A message to the kernel, with the flags that say what happens if the object exists.
#[derive(Debug, Clone)]
pub struct Request {
    /// The message.
    pub message: RouteNetlinkMessage,
    /// `NLM_F_CREATE` and the like.
    pub flags: u16,
}

/// One socket of route netlink.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// One received message.
struct Received<'a> {
    header: NetlinkHeader,
    payload: &'a [u8],
}

impl Netlink {
    /// Opens a socket in the network namespace of this thread.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Netlink> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        // Dumps are filtered by the kernel: a router's main table has a million routes.
        socket.set_netlink_get_strict_chk(true)?;
        let timeout = TimeVal::new(ANSWER_SECONDS_MAX, 0);
        setsockopt(&socket, ReceiveTimeout, &timeout)?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Sends one request and waits for its acknowledgement.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn request(&mut self, request: Request) -> Result<(), Refusal> {
        self.batch(vec![request]).pop().unwrap_or(Ok(()))
    }

    /// Sends requests in order, without waiting in between; the answers are in the same order. A
    /// refused request does not keep the later ones from being done.
    pub fn batch(&mut self, requests: Vec<Request>) -> Vec<Result<(), Refusal>> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let part: Vec<Request> = requests.by_ref().take(BATCH_MESSAGES_MAX).collect();
            let count = part.len();
            match self.send_batch(part) {
                Ok(part) => answers.extend(part),
                Err(error) => answers.extend(vec![Err(Refusal::from(error)); count]),
            }
        }
        answers
    }

    fn send_batch(&mut self, requests: Vec<Request>) -> io::Result<Vec<Result<(), Refusal>>> {
        let first = self.sequence.wrapping_add(1);
        let count = requests.len();
        let mut bytes = Vec::new();
        for request in requests {
            self.append(&mut bytes, request.message, NLM_F_REQUEST | NLM_F_ACK | request.flags);
        }
        self.socket.send(&bytes, 0)?;
        let mut answers: Vec<Option<Result<(), Refusal>>> = vec![None; count];
        let mut buffer = Vec::with_capacity(RECEIVE_BYTES);
        while answers.iter().any(Option::is_none) {
            self.receive(&mut buffer)?;
            for received in messages(&buffer) {
                let at = received.header.sequence_number.wrapping_sub(first) as usize;
                if received.header.message_type == NLMSG_ERROR
                    && let Some(answer) = answers.get_mut(at)
                {
                    *answer = Some(acknowledgement(&received));
                }
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// All objects that the kernel has of one kind.
    ///
    /// # Errors
    /// The kernel's refusal, or EINTR if the objects changed during every one of several dumps.
    pub fn dump(
        &mut self,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, Refusal> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(objects) = self.query(message.clone(), NLM_F_DUMP)? {
                return Ok(objects);
            }
        }
        Err(Refusal { code: nix::libc::EINTR, text: "the objects change all the time".into() })
    }

    /// The one object that the message names.
    ///
    /// # Errors
    /// The kernel's refusal; ENODEV if there is no such link.
    pub fn find(
        &mut self,
        message: RouteNetlinkMessage,
    ) -> Result<Option<RouteNetlinkMessage>, Refusal> {
        Ok(self.query(message, NLM_F_ACK)?.and_then(|mut objects| objects.pop()))
    }

    /// `None`: something changed meanwhile, and the answer may lack objects.
    fn query(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Option<Vec<RouteNetlinkMessage>>, Refusal> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, message, NLM_F_REQUEST | flags);
        self.socket.send(&bytes, 0)?;
        let (mut objects, mut interrupted) = (Vec::new(), false);
        let mut buffer = Vec::with_capacity(RECEIVE_BYTES);
        loop {
            self.receive(&mut buffer)?;
            for received in messages(&buffer) {
                if received.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= received.header.flags & NLM_F_DUMP_INTR != 0;
                match received.header.message_type {
                    NLMSG_DONE => return Ok((!interrupted).then_some(objects)),
                    NLMSG_ERROR => return acknowledgement(&received).map(|()| Some(objects)),
                    kind if kind < NLMSG_MIN_TYPE => {}
                    _ => objects.extend(
                        RouteNetlinkMessage::deserialize(&received.header, received.payload).ok(),
                    ),
                }
            }
        }
    }

    fn append(&mut self, bytes: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (flags, self.sequence);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let start = bytes.len();
        bytes.resize(start + align(message.buffer_len()), 0);
        let end = start + message.buffer_len();
        message.serialize(&mut bytes[start..end]);
    }

    fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let received = loop {
            match self.socket.recv(buffer, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The messages in what was received at once; whatever is cut off is left out.
fn messages(bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u32_at(rest, 0)? as usize;
        let payload = rest.get(HEADER_BYTES..length)?;
        let mut header = NetlinkHeader::default();
        header.length = length as u32;
        header.message_type = u16_at(rest, 4)?;
        header.flags = u16_at(rest, 6)?;
        header.sequence_number = u32_at(rest, 8)?;
        rest = rest.get(align(length)..).unwrap_or_default();
        Some(Received { header, payload })
    })
}

/// An acknowledgement is the error number, the header of the request, and attributes.
fn acknowledgement(received: &Received<'_>) -> Result<(), Refusal> {
    let code = u32_at(received.payload, 0).map_or(-nix::libc::EIO, u32::cast_signed);
    if code == 0 {
        return Ok(());
    }
    let mut text = String::new();
    let mut rest = match received.header.flags & NLM_F_ACK_TLVS {
        0 => &[],
        _ => received.payload.get(4 + HEADER_BYTES..).unwrap_or_default(),
    };
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let Some(value) = rest.get(4..usize::from(length)) else { break };
        if kind == NLMSGERR_ATTR_MSG {
            text = String::from_utf8_lossy(value).trim_end_matches('\0').into();
        }
        rest = rest.get(align(usize::from(length))..).unwrap_or_default();
    }
    Err(Refusal { code: code.wrapping_neg(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of the kernel: an error number with an explanation.
    fn refusal() -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(52u32.to_ne_bytes());
        bytes.extend(NLMSG_ERROR.to_ne_bytes());
        bytes.extend(NLM_F_ACK_TLVS.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend((-nix::libc::EEXIST).to_ne_bytes());
        bytes.extend([0; HEADER_BYTES]);
        bytes.extend(10u16.to_ne_bytes());
        bytes.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        bytes.extend(*b"taken\0\0\0\0\0\0\0");
        bytes
    }

    #[test]
    fn a_refusal_carries_the_explanation_of_the_kernel() {
        let bytes = refusal();
        let received = messages(&bytes).next().unwrap();
        let refused = acknowledgement(&received).unwrap_err();
        assert_eq!(refused, Refusal { code: nix::libc::EEXIST, text: "taken".into() });
        assert_eq!(refused.to_string(), "File exists (os error 17): taken");
    }

    #[test]
    fn an_answer_that_is_cut_off_anywhere_or_lies_about_lengths_causes_no_panic() {
        let whole = refusal();
        for end in 0..whole.len() {
            assert!(messages(&whole[..end]).next().is_none());
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                messages(&bytes).for_each(|received| drop(acknowledgement(&received)));
            }
        }
    }
}
