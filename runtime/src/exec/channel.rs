//! The helper's end of the socket: frames, read with or without waiting.
//!
//! The client is gone when the socket is closed: a session without a client must end.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::ExecRequest;
use super::frame::{self, CHUNK_BYTES, Decoder, Frame, Kind};
use crate::monitor::inherited::{close_from, duplicate};

/// Bytes that wait to be sent at most, plus one chunk; above, nothing is read from the program.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Frames to and from the client.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
    decoder: Decoder,
    waiting: Vec<u8>,
    gone: bool,
    /// Payload of `Stdin` that was received by [`Read`] and is not yet consumed.
    rest: Vec<u8>,
    ended: bool,
}

impl Channel {
    /// Takes over descriptor 0, and leaves /dev/null in its place.
    pub fn take() -> nix::Result<Channel> {
        let socket = duplicate(0)?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null");
        let null = null.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        close_from(socket.as_raw_fd().max(null.as_raw_fd()) + 1);
        Ok(Channel::new(UnixStream::from(OwnedFd::from(socket))))
    }

    fn new(socket: UnixStream) -> Channel {
        let decoder = Decoder::default();
        Channel {
            socket,
            decoder,
            waiting: Vec::new(),
            gone: false,
            rest: Vec::new(),
            ended: false,
        }
    }

    /// Waits for the request, which is the first frame.
    pub fn read_order(&mut self) -> Option<ExecRequest> {
        let frame = self.read_frame()?;
        if frame.kind == Kind::Order { serde_json::from_slice(&frame.payload).ok() } else { None }
    }

    /// Sends, and waits until the frame is sent; that the client is gone is noticed with the next
    /// frame.
    pub fn send(&mut self, kind: Kind, payload: &[u8]) {
        let _ = self.try_send(kind, payload);
    }

    fn try_send(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.waiting);
        frame::encode(kind, payload, &mut bytes);
        self.socket.set_nonblocking(false)?;
        self.socket.write_all(&bytes)
    }

    fn read_frame(&mut self) -> Option<Frame> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().ok()? {
                return Some(frame);
            }
            match self.socket.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.decoder.push(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// From here on no call waits: [`Channel::queue`], [`Channel::flush`], [`Channel::receive`].
    pub fn stop_waiting(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    /// Is the client gone?
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Puts a frame behind those that wait.
    pub fn queue(&mut self, kind: Kind, payload: &[u8]) {
        if !self.gone {
            frame::encode(kind, payload, &mut self.waiting);
        }
    }

    /// Is there room for more?
    pub fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_BYTES_MAX
    }

    /// Does anything wait to be sent?
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends what the socket takes now.
    pub fn flush(&mut self) {
        while !self.waiting.is_empty() && !self.gone {
            match self.socket.write(&self.waiting) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.leave(),
            }
        }
    }

    /// The next frame that has arrived. A client that sends junk counts as gone.
    pub fn receive(&mut self) -> Option<Frame> {
        let mut bytes = [0; CHUNK_BYTES];
        while !self.gone {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                Err(_) => {
                    self.leave();
                    break;
                }
            }
            match self.socket.read(&mut bytes) {
                Ok(0) => self.leave(),
                Ok(count) => self.decoder.push(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.leave(),
            }
        }
        None
    }

    /// Treats the client as gone: frames that wait for it are dropped.
    pub fn leave(&mut self) {
        self.gone = true;
        self.waiting.clear();
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The archive that the client sends, up to [`Kind::End`]. Without that frame it was cut, which is
/// an error.
impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.read_frame() {
                Some(Frame { kind: Kind::Stdin, payload }) => self.rest = payload,
                Some(Frame { kind: Kind::End, .. }) => self.ended = true,
                Some(_) => {}
                None => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

/// The archive that is packed.
impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK_BYTES);
        self.try_send(Kind::Stdout, &bytes[..count])?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
