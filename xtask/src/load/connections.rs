//! New connections per second: a server that closes first, and clients that wait for it.
//!
//! The server's side then holds the connection that has ended, and no port of the client is used up.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Connections that are open at a time, enough to keep two cores busy.
const CLIENTS: usize = 4;
/// A connection that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What the clients saw.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connections {
    /// Of all clients together.
    pub per_second: f64,
    /// Those that failed.
    pub failed: usize,
}

/// Serves until stdin ends.
pub fn accept(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    for _ in 0..2 {
        let listener = listener.try_clone()?;
        thread::spawn(move || {
            // A connection whose client has gone is nobody's loss.
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(&[7]);
            }
        });
    }
    super::until_stdin_ends();
    Ok(())
}

/// Opens connections for so long.
pub fn connect(address: SocketAddr, time: Duration) -> Result<Connections> {
    let begun = Instant::now();
    let client = || {
        let (mut done, mut failed) = (0usize, 0usize);
        while begun.elapsed() < time {
            match once(address) {
                Ok(()) => done += 1,
                Err(_) => failed += 1,
            }
        }
        (done, failed)
    };
    let results: Vec<(usize, usize)> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().filter_map(|client| client.join().ok()).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    let done: usize = results.iter().map(|(done, _)| done).sum();
    let failed = results.iter().map(|(_, failed)| failed).sum();
    ensure!(done > 0, "no connection to {address} came about");
    Ok(Connections { per_second: done as f64 / seconds, failed })
}

fn once(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    stream.read(&mut byte).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_and_a_dead_port_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                stream.write_all(&[7]).unwrap();
            }
        });
        let seen = connect(address, Duration::from_millis(50)).unwrap();
        assert!(seen.per_second > 1.0 && seen.failed == 0, "{seen:?}");
        assert!(connect("127.0.0.1:1".parse().unwrap(), Duration::from_millis(5)).is_err());
    }
}
