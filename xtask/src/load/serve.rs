//! An HTTP server as people use them: 128 connections may wait for it, and told to end it answers
//! those that are there and takes no more.
//!
//! It must never go on taking connections after it is told to end: that would hide that some come.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A client that says nothing for so long is left alone.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Serves at this port of every address until stdin ends.
pub fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    serve_until(listener, super::until_stdin_ends)
}

fn serve_until(listener: TcpListener, end: impl FnOnce() + Send) -> Result<()> {
    let port = listener.local_addr()?.port();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            end();
            is_over.store(true, Ordering::SeqCst);
            // So that `accept` returns.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        });
        while !is_over.load(Ordering::SeqCst) {
            if let Ok((stream, _)) = listener.accept() {
                scope.spawn(move || answer(stream));
            }
        }
        listener.set_nonblocking(true)?;
        while let Ok((stream, _)) = listener.accept() {
            scope.spawn(move || answer(stream));
        }
        drop(listener);
        Ok(())
    })
}

/// One request. A client that has gone is nobody's loss.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let (mut request, mut part) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&part[..count]),
        }
    }
    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhere\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::fetch::fetch;
    use std::sync::mpsc;

    #[test]
    fn what_waits_at_the_end_is_answered_and_nothing_later() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let address = (Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()).into();
        let waiting: Vec<_> = (0..30).map(|_| thread::spawn(move || fetch(address))).collect();
        let slow = TcpStream::connect(address).unwrap();
        let (end, ended) = mpsc::channel::<()>();
        let server = thread::spawn(move || serve_until(listener, move || _ = ended.recv()));
        fetch(address).unwrap();
        drop(end);
        for client in waiting {
            client.join().unwrap().unwrap();
        }
        let refused = || TcpStream::connect(address).is_err();
        while !refused() {
            thread::sleep(Duration::from_millis(5));
        }
        let mut slow = slow;
        slow.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut said = String::new();
        slow.read_to_string(&mut said).unwrap();
        assert!(said.contains("200 OK"), "{said}");
        server.join().unwrap().unwrap();
    }
}
