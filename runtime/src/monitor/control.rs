//! Orders from the agent to a monitor, one per line of the fifo `control`: `stop <signal> <grace>`,
//! and `end <time>`, which tells until when the run may live; without a time, as long as it likes.
//! `resize <rows> <columns>` is for the terminal of a container, `end-of-input` for its standard input.
//!
//! Only the monitor holds the fifo open, so an order reaches this run's monitor or nobody.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

use crate::exec::Size;
use crate::run_dir;

/// An order to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopOrder {
    /// The signal to send; `None`: that of the template.
    pub signal: Option<i32>,
    /// Time until SIGKILL.
    pub grace_ms: u64,
}

/// An order to a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlOrder {
    /// End it.
    Stop(StopOrder),
    /// Its terminal has another size.
    Resize(Size),
    /// No more input will come.
    EndOfInput,
    /// It may live until this time of the boot clock; `None`: as long as it likes.
    End(Option<u64>),
}

/// Sends the order to the monitor of a run; an error if the run has no monitor any more.
pub fn send(dir: &Path, order: StopOrder) -> io::Result<()> {
    let signal = order.signal.unwrap_or(0);
    send_line(dir, &format!("stop {signal} {}\n", order.grace_ms))
}

/// Tells the monitor of a run until when the run may live.
pub fn send_end(dir: &Path, at_ms: Option<u64>) -> io::Result<()> {
    send_line(dir, &at_ms.map_or("end\n".to_owned(), |at| format!("end {at}\n")))
}

/// Tells the monitor of a container the size of its terminal.
pub fn send_size(dir: &Path, size: Size) -> io::Result<()> {
    send_line(dir, &format!("resize {} {}\n", size.rows, size.columns))
}

/// Tells the monitor of a container that it gets no more input.
pub fn send_end_of_input(dir: &Path) -> io::Result<()> {
    send_line(dir, "end-of-input\n")
}

fn send_line(dir: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Without a reader the open fails (ENXIO) instead of waiting for one.
    let fifo = options.write(true).custom_flags(libc::O_NONBLOCK).open(dir.join(run_dir::CONTROL));
    fifo?.write_all(line.as_bytes())
}

/// The monitor's end of the fifo: read and write end in one, so that there is never an end of file.
#[derive(Debug)]
pub struct Control {
    fifo: File,
    arrived: RefCell<Arrived>,
}

#[derive(Debug, Default)]
struct Arrived {
    /// The beginning of a line.
    unread: Vec<u8>,
    orders: Vec<ControlOrder>,
}

impl Control {
    /// From the descriptor, which does not block.
    pub fn new(fifo: File) -> Control {
        Control { fifo, arrived: RefCell::default() }
    }

    /// Reads what has arrived. However much that is: a monitor that waited for a slow disk finds
    /// many orders, and half of a time would be a time long past.
    pub fn receive(&self) {
        let mut arrived = self.arrived.borrow_mut();
        let mut bytes = [0; 1024];
        loop {
            match (&self.fifo).read(&mut bytes) {
                Ok(length) if length > 0 => arrived.add(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    /// Is the run to end, by an order that was read and not yet carried out?
    pub fn has_stop(&self) -> bool {
        let is_stop = |order: &ControlOrder| matches!(order, ControlOrder::Stop(_));
        self.arrived.borrow().orders.iter().any(is_stop)
    }

    /// The orders that were read, to carry them out.
    pub fn drain(&self) -> Vec<ControlOrder> {
        std::mem::take(&mut self.arrived.borrow_mut().orders)
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.fifo.as_raw_fd()
    }
}

impl Arrived {
    fn add(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        let Some(end) = self.unread.iter().rposition(|byte| *byte == b'\n') else {
            // No order is that long.
            self.unread.truncate(LINE_BYTES_MAX);
            return;
        };
        let lines: Vec<u8> = self.unread.drain(..=end).collect();
        self.orders.extend(String::from_utf8_lossy(&lines).lines().filter_map(parse));
    }
}

/// Bytes of an order: a word and two numbers.
const LINE_BYTES_MAX: usize = 64;

fn parse(line: &str) -> Option<ControlOrder> {
    if line == "end-of-input" {
        return Some(ControlOrder::EndOfInput);
    }
    if let Some(size) = line.strip_prefix("resize ") {
        let (rows, columns) = size.split_once(' ')?;
        let (rows, columns) = (rows.parse().ok()?, columns.parse().ok()?);
        return Some(ControlOrder::Resize(Size { rows, columns }));
    }
    if let Some(time) = line.strip_prefix("end") {
        return match time.strip_prefix(' ') {
            None => time.is_empty().then_some(ControlOrder::End(None)),
            Some(at) => at.parse().ok().map(|at| ControlOrder::End(Some(at))),
        };
    }
    let mut words = line.strip_prefix("stop ")?.split(' ');
    let signal: i32 = words.next()?.parse().ok()?;
    let grace_ms = words.next()?.parse().ok()?;
    let known = (0..=64).contains(&signal);
    known.then_some(ControlOrder::Stop(StopOrder {
        signal: (signal > 0).then_some(signal),
        grace_ms,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_arrive_in_pieces_or_in_a_heap_are_read_whole() {
        let (mut arrived, text) = (Arrived::default(), "end 123456789\nstop 9 0\n".repeat(200));
        for piece in text.as_bytes().chunks(1_023) {
            arrived.add(piece);
            assert!(arrived.unread.len() < LINE_BYTES_MAX);
        }
        let end = ControlOrder::End(Some(123_456_789));
        assert_eq!(arrived.orders.len(), 400);
        assert!(arrived.orders.iter().step_by(2).all(|order| *order == end));
        arrived.add(&[b'x'; 5_000]);
        assert_eq!(arrived.unread.len(), LINE_BYTES_MAX);
    }

    #[test]
    fn an_order_is_read_as_it_was_given_and_junk_is_none() {
        let stop = |signal, grace_ms| Some(ControlOrder::Stop(StopOrder { signal, grace_ms }));
        assert_eq!(parse("stop 0 10"), stop(None, 10));
        assert_eq!(parse("stop 9 0"), stop(Some(9), 0));
        assert_eq!(parse("end 77"), Some(ControlOrder::End(Some(77))));
        assert_eq!(parse("end"), Some(ControlOrder::End(None)));
        for junk in [
            "",
            "end ",
            "end x",
            "ending",
            "end -1",
            "stop",
            "stop 99 1",
            "stop -1 1",
            "stop 9",
            "thread 'main' panicked",
        ] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }
}
