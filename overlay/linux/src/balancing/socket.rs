//! A netlink socket of the netfilter subsystems, in a network namespace.
//!
//! The socket belongs to the namespace in which it was made, whatever thread uses it later: a
//! short-lived thread enters the namespace and makes it. A transaction is one datagram, which the
//! kernel takes as a whole or not at all. It must never split one.

use std::io;
use std::os::fd::BorrowedFd;

use netlink_packet_core::NetlinkBuffer;
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::message::{HEADERS_BYTES, Messages, attribute};

/// Room for answers: with 10,000 elements refused the kernel sends 10,000 errors of about 100 bytes.
const RECEIVE_BYTES: usize = 4 << 20;
/// What a transaction may measure before the room for it is enlarged.
const SEND_BYTES: usize = 1 << 20;
/// The kernel answers while `send` runs; waiting is a sign of a lost answer.
const ANSWER_SECONDS: i64 = 5;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// What the kernel said to a message that it refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Which message of the transaction; `None`: the transaction as a whole.
    pub(super) message: Option<u32>,
    /// Where in the message the refused attribute begins, in bytes.
    pub(super) offset: Option<usize>,
    /// Why.
    pub(super) error: io::Error,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { message: None, offset: None, error }
    }
}

/// A socket in a namespace.
pub(super) struct NetfilterSocket {
    socket: Socket,
    sequence: u32,
    send_bytes: usize,
}

/// Runs `work` on a thread inside `namespace`.
pub(super) fn inside<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let entered = scope.spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            work()
        });
        entered.join().expect("the thread does not panic")
    })
}

impl NetfilterSocket {
    /// Makes a socket in `namespace`.
    pub(super) fn open(namespace: BorrowedFd<'_>) -> io::Result<Self> {
        let mut socket = inside(namespace, || Socket::new(NETLINK_NETFILTER))?;
        socket.bind_auto()?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BYTES)?;
        setsockopt(&socket, sockopt::SndBufForce, &SEND_BYTES)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(ANSWER_SECONDS, 0))?;
        Ok(Self { socket, sequence: 1, send_bytes: SEND_BYTES })
    }

    fn send(&mut self, messages: Messages, acknowledge: u32) -> io::Result<u32> {
        let first = self.sequence;
        self.sequence = self.sequence.wrapping_add(messages.count());
        let bytes = messages.finish(first, acknowledge);
        // The kernel counts its own overhead against the room too.
        let wanted = bytes.len() + bytes.len() / 4;
        if wanted > self.send_bytes {
            setsockopt(&self.socket, sockopt::SndBufForce, &wanted)?;
            self.send_bytes = wanted;
        }
        self.discard();
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        Ok(first)
    }

    /// Drops answers that nobody waited for, after an error.
    fn discard(&self) {
        let mut buffer = [0_u8; 64];
        while self.socket.recv(&mut &mut buffer[..], libc_dontwait()).is_ok() {}
    }

    /// Sends a transaction. With an error nothing was changed, unless it is that the answer was lost
    /// (`message` is `None`).
    pub(super) fn commit(&mut self, mut transaction: Messages) -> Result<(), Refusal> {
        let last = transaction.count() - 1;
        if last == 0 {
            return Ok(());
        }
        transaction.close_transaction();
        let first = self.send(transaction, last)?;
        let mut refusal = None;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for answer in Answers(&datagram) {
                let Answer::Error { sequence, code, offset } = answer else { continue };
                let message = sequence.wrapping_sub(first);
                if code != 0 && refusal.is_none() {
                    refusal = Some(Refusal {
                        message: (message != 0).then_some(message),
                        offset,
                        error: io::Error::from_raw_os_error(code),
                    });
                }
                // Message 0 opens the transaction: an answer to it is the last one.
                if message == last || message == 0 {
                    return refusal.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Sends one message that is no transaction and waits for its end.
    pub(super) fn execute(&mut self, message: Messages) -> io::Result<()> {
        let first = self.send(message, 0)?;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for answer in Answers(&datagram) {
                match answer {
                    Answer::Error { sequence, code: 0, .. } if sequence == first => return Ok(()),
                    Answer::Error { sequence, code, .. } if sequence == first => {
                        return Err(io::Error::from_raw_os_error(code));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Asks one question and gives each object of the answer, without its headers, to `object`.
    /// `Interrupted`: the objects changed meanwhile.
    pub(super) fn ask(
        &mut self,
        question: Messages,
        mut object: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let first = self.send(question, 0)?;
        let mut interrupted = false;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for answer in Answers(&datagram) {
                match answer {
                    Answer::Object { sequence, flags, body } if sequence == first => {
                        interrupted |= flags & NLM_F_DUMP_INTR != 0;
                        object(body);
                    }
                    Answer::Error { sequence, code, .. } if sequence == first => {
                        return match (code, interrupted) {
                            (0, true) => Err(io::ErrorKind::Interrupted.into()),
                            (0, false) => Ok(()),
                            (code, _) => Err(io::Error::from_raw_os_error(code)),
                        };
                    }
                    _ => {}
                }
            }
        }
    }
}

fn libc_dontwait() -> i32 {
    nix::sys::socket::MsgFlags::MSG_DONTWAIT.bits()
}

enum Answer<'a> {
    Object {
        sequence: u32,
        flags: u16,
        body: &'a [u8],
    },
    /// Also the end of a list and an acknowledgement, with code 0.
    Error {
        sequence: u32,
        code: i32,
        offset: Option<usize>,
    },
}

struct Answers<'a>(&'a [u8]);

impl<'a> Iterator for Answers<'a> {
    type Item = Answer<'a>;

    fn next(&mut self) -> Option<Answer<'a>> {
        let message = NetlinkBuffer::new_checked(self.0).ok()?;
        let length = message.length() as usize;
        let end = length.next_multiple_of(4).min(self.0.len());
        let (sequence, flags) = (message.sequence_number(), message.flags());
        let payload = &self.0[16..length];
        self.0 = &self.0[end..];
        Some(match message.message_type() {
            ERROR | DONE => Answer::Error {
                sequence,
                code: payload.first_chunk().map_or(0, |code| -i32::from_ne_bytes(*code)),
                offset: error_offset(flags, payload),
            },
            _ => Answer::Object { sequence, flags, body: payload.get(4..).unwrap_or_default() },
        })
    }
}

/// Where the refused attribute begins: behind the code and the header of the refused message.
fn error_offset(flags: u16, payload: &[u8]) -> Option<usize> {
    if flags & NLM_F_ACK_TLVS == 0 || flags & NLM_F_CAPPED == 0 {
        return None;
    }
    let offset = attribute(payload.get(HEADERS_BYTES..)?, NLMSGERR_ATTR_OFFS)?;
    Some(u32::from_ne_bytes(offset.try_into().ok()?) as usize)
}
