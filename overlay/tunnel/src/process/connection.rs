//! The connection of an agent. Nothing here waits: packets come first.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::control::{LINE_BYTES_MAX, State, decode};

/// What was read.
pub enum Heard {
    /// Nothing whole yet.
    Nothing,
    /// A state. Of several in a row, the last.
    State(Box<State>),
    /// The agent is gone, or says what nobody understands.
    End,
}

/// A connection with what was read of a line.
pub struct Connection {
    stream: UnixStream,
    line: Vec<u8>,
}

impl Connection {
    /// Greets an agent.
    pub fn open(stream: UnixStream, hello: &[u8]) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        let mut connection = Connection { stream, line: Vec::new() };
        connection.write(hello)?;
        Ok(connection)
    }

    /// Says something short.
    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.stream.write_all(line)
    }

    /// Reads what there is.
    pub fn read(&mut self) -> Heard {
        let mut state = None;
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Heard::End,
                Ok(length) => self.line.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Heard::End,
            }
            while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let rest = self.line.split_off(end + 1);
                let line = std::mem::replace(&mut self.line, rest);
                state = decode::<State>(&line);
                if state.is_none() {
                    return Heard::End;
                }
            }
            if self.line.len() > LINE_BYTES_MAX {
                return Heard::End;
            }
        }
        state.map_or(Heard::Nothing, |state| Heard::State(Box::new(state)))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
