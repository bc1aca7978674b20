//! Servers that say who they are, and clients that ask.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::lab::Namespace;

pub const PORT: u16 = 80;
const TIMEOUT: Duration = Duration::from_secs(2);

/// Serves TCP and UDP in a namespace until the test ends: each answer is the server's number and,
/// over TCP, then the client's address; afterwards TCP echoes.
pub fn serve(namespace: &Namespace, number: u8) {
    let (tcp, udp) = namespace.inside(|| {
        (TcpListener::bind(("::", PORT)).unwrap(), UdpSocket::bind(("::", PORT)).unwrap())
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            std::thread::spawn(move || _ = serve_stream(stream, number));
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((_, client)) = udp.recv_from(&mut buffer) {
            _ = udp.send_to(&[number], client);
        }
    });
}

fn serve_stream(mut stream: TcpStream, number: u8) -> io::Result<()> {
    let client = stream.peer_addr()?.ip().to_canonical().to_string();
    let mut greeting = vec![number, u8::try_from(client.len()).unwrap()];
    greeting.extend_from_slice(client.as_bytes());
    stream.write_all(&greeting)?;
    let mut buffer = [0; 100];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length])?;
    }
}

/// A connection to a server.
pub struct Connection {
    pub stream: TcpStream,
    /// The server's number.
    pub server: u8,
    /// The client's address as the server sees it.
    pub seen: IpAddr,
}

/// Connects, from the namespace of this thread.
pub fn connect(address: IpAddr, port: u16) -> io::Result<Connection> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut seen = vec![0; usize::from(head[1])];
    stream.read_exact(&mut seen)?;
    let seen = String::from_utf8(seen).unwrap().parse().unwrap();
    Ok(Connection { stream, server: head[0], seen })
}

impl Connection {
    /// Sends a byte and waits for it.
    pub fn echo(&mut self) -> io::Result<()> {
        self.stream.write_all(b"x")?;
        self.stream.read_exact(&mut [0])
    }
}

/// A UDP socket that is connected to a server.
pub fn udp(address: IpAddr, port: u16) -> UdpSocket {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket.connect((address, port)).unwrap();
    socket
}

/// Sends a datagram; returns the number of the server that answers.
pub fn ask(socket: &UdpSocket) -> io::Result<u8> {
    socket.send(b"x")?;
    let mut answer = [0];
    socket.recv(&mut answer)?;
    Ok(answer[0])
}
