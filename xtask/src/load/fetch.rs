//! One HTTP request over a connection of its own. It must never be tried again: what fails counts.

use anyhow::{Result, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One request for `/`, which must succeed.
pub fn fetch(address: SocketAddr) -> Result<()> {
    let connected = TcpStream::connect_timeout(&address, TIMEOUT);
    let mut stream = connected.map_err(|error| anyhow::anyhow!("connecting: {error}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: web\r\n\r\n")?;
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    read.map_err(|error| anyhow::anyhow!("connected, then: {error}"))?;
    let first = answer.lines().next().unwrap_or("nothing");
    ensure!(first.split_whitespace().nth(1) == Some("200"), "connected, then: {first}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn what_is_no_success_is_a_failure_with_its_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for answer in ["HTTP/1.0 200 OK\r\n\r\nhello", "HTTP/1.0 503 Busy\r\n\r\n", ""] {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut [0; 16]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        assert!(fetch(address).is_ok());
        assert!(fetch(address).unwrap_err().to_string().contains("503"));
        assert!(fetch(address).unwrap_err().to_string().contains("nothing"));
    }
}
