//! Orders from the agent to a monitor, one per line of the fifo `control`: `stop <signal> <grace>`.
//!
//! Only the monitor holds the fifo open, so an order reaches this run's monitor or nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

use crate::run_dir;

/// An order to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopOrder {
    /// The signal to send; `None`: that of the template.
    pub signal: Option<i32>,
    /// Time until SIGKILL.
    pub grace_ms: u64,
}

/// Bytes of orders that a monitor reads at once; no correct agent sends more.
const ORDER_BYTES_MAX: usize = 1024;

/// Sends the order to the monitor of a run; an error if the run has no monitor any more.
pub fn send(dir: &Path, order: StopOrder) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Without a reader the open fails (ENXIO) instead of waiting for one.
    let fifo = options.write(true).custom_flags(libc::O_NONBLOCK).open(dir.join(run_dir::CONTROL));
    let signal = order.signal.unwrap_or(0);
    fifo?.write_all(format!("stop {signal} {}\n", order.grace_ms).as_bytes())
}

/// Reads the orders that have arrived. A line is shorter than a pipe's atomic write, so no line is
/// ever cut.
pub fn receive(fifo: &mut File) -> Vec<StopOrder> {
    let mut bytes = [0; ORDER_BYTES_MAX];
    let length = fifo.read(&mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..length]);
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<StopOrder> {
    let mut words = line.strip_prefix("stop ")?.split(' ');
    let signal: i32 = words.next()?.parse().ok()?;
    let grace_ms = words.next()?.parse().ok()?;
    let known = (0..=64).contains(&signal);
    known.then_some(StopOrder { signal: (signal > 0).then_some(signal), grace_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_given_and_junk_is_none() {
        assert_eq!(parse("stop 0 10"), Some(StopOrder { signal: None, grace_ms: 10 }));
        assert_eq!(parse("stop 9 0"), Some(StopOrder { signal: Some(9), grace_ms: 0 }));
        for junk in ["", "stop", "stop 99 1", "stop -1 1", "stop 9", "thread 'main' panicked"] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }
}
