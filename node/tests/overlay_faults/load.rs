//! Clients that ask without a pause, in the namespace of a task or of a node, and remember every
//! request.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fleet::enter;

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(10);

/// A request without an answer within this time has failed. A lost packet is sent again after a
/// second, and that is an answer.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The same of hasty clients: a packet that is lost is sent again once.
const HASTE: Duration = Duration::from_millis(1_500);

/// One request.
pub struct Request {
    pub begun: Instant,
    pub took: Duration,
    /// What was answered.
    pub outcome: Result<String, String>,
}

/// Clients of one kind.
pub struct Load {
    what: &'static str,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    answered: AtomicUsize,
    requests: Mutex<Vec<Request>>,
}

impl Load {
    /// HTTP requests, each over a connection of its own.
    pub fn http(what: &'static str, space: &Path, to: SocketAddr) -> Load {
        Load::start(what, space, 2, move || move || http(to, TIMEOUT))
    }

    /// Clients that give up soon, so that at every moment some request begins, also while some of the
    /// tasks do not answer. Few: busybox lets nine connections wait, and drops the tenth.
    pub fn hasty_http(what: &'static str, space: &Path, to: SocketAddr) -> Load {
        Load::start(what, space, 2, move || move || http(to, HASTE))
    }

    /// Datagrams that are sent back, from one port.
    pub fn udp(what: &'static str, space: &Path, to: SocketAddr) -> Load {
        Load::start(what, space, 3, move || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
            socket.connect(to).expect("a route");
            socket.set_read_timeout(Some(TIMEOUT)).expect("a time");
            let mut number = 0_u64;
            move || {
                number += 1;
                echoed(&socket, number)
            }
        })
    }

    fn start<Client, Ask>(what: &'static str, space: &Path, clients: usize, client: Client) -> Load
    where
        Client: Fn() -> Ask + Clone + Send + 'static,
        Ask: FnMut() -> io::Result<String>,
    {
        let shared = Arc::new(Shared::default());
        let one = |_| {
            let (shared, space, client) = (shared.clone(), space.to_owned(), client.clone());
            std::thread::spawn(move || {
                enter(&space);
                let mut ask = client();
                while !shared.is_over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let outcome = ask().map_err(|error| error.to_string());
                    shared.answered.fetch_add(usize::from(outcome.is_ok()), Ordering::Relaxed);
                    let request = Request { begun, took: begun.elapsed(), outcome };
                    shared.requests.lock().expect("nothing panics here").push(request);
                    std::thread::sleep(PAUSE);
                }
            })
        };
        let clients = (0..clients).map(one).collect();
        Load { what, shared, clients }
    }

    /// The requests that were answered until now.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// The different answers until now.
    pub fn answers(&self) -> BTreeSet<String> {
        let requests = self.shared.requests.lock().expect("nothing panics here");
        requests.iter().filter_map(|request| request.outcome.clone().ok()).collect()
    }

    /// Ends the clients. All requests, in the order in which they ended.
    pub fn end(self) -> Vec<Request> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        std::mem::take(&mut self.shared.requests.lock().expect("nothing panics here"))
    }

    /// Ends the clients; not one request may have failed.
    pub fn end_without_failure(self) {
        let what = self.what;
        let requests = self.end();
        let failed = requests.iter().filter_map(|request| request.outcome.as_ref().err());
        let failed: Vec<&String> = failed.collect();
        assert!(failed.is_empty(), "{what}: of {} requests failed {failed:?}", requests.len());
        let slowest = requests.iter().map(|request| request.took).max().unwrap_or_default();
        eprintln!("{what}: {} requests, the slowest took {slowest:?}", requests.len());
        assert!(requests.len() > 100, "{what}: only {} requests", requests.len());
    }
}

/// Is one HTTP request answered at once?
pub fn answers(space: &Path, to: SocketAddr) -> bool {
    let space = space.to_owned();
    let asked = std::thread::spawn(move || {
        enter(&space);
        http(to, Duration::from_millis(200)).is_ok()
    });
    asked.join().expect("it does not panic")
}

fn http(to: SocketAddr, timeout: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    match head.contains(" 200 ") && !body.is_empty() {
        true => Ok(body.trim().to_owned()),
        false => Err(io::Error::other(head.to_owned())),
    }
}

/// Sends a number and waits until it comes back. Who sent it back.
fn echoed(socket: &UdpSocket, number: u64) -> io::Result<String> {
    socket.send(&number.to_be_bytes())?;
    let mut answer = [0; 9];
    loop {
        let len = socket.recv(&mut answer)?;
        // What came too late was counted as lost.
        if answer[..len.min(8)] == number.to_be_bytes() {
            return Ok(answer[8].to_string());
        }
    }
}

/// A connection that is kept, and on which something is said ten times a second.
pub struct Conversation {
    is_over: Arc<AtomicBool>,
    /// Who answers.
    pub with: u8,
    thread: JoinHandle<io::Result<usize>>,
}

impl Conversation {
    pub fn begin(space: &Path, to: SocketAddr) -> Conversation {
        let (first, answered) = std::sync::mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let (ended, space) = (is_over.clone(), space.to_owned());
        let thread = std::thread::spawn(move || {
            enter(&space);
            let mut stream = TcpStream::connect_timeout(&to, TIMEOUT)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            for round in 0.. {
                let (word, mut answer) = ([round as u8], [0; 2]);
                stream.write_all(&word)?;
                stream.read_exact(&mut answer)?;
                assert_eq!(answer[..1], word);
                // Only the first is waited for.
                let _ = first.send(answer[1]);
                if ended.load(Ordering::Relaxed) {
                    return Ok(round);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            unreachable!("there are more numbers than time")
        });
        Conversation { is_over, with: answered.recv().expect("an answer"), thread }
    }

    /// How often it was answered, or why not any more.
    pub fn end(self) -> io::Result<usize> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

/// Sends back what comes in the namespace of a task, with a number behind it that says who it is:
/// every datagram, and every byte of a connection.
pub struct Echo {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The port of [`Echo`].
pub const ECHO_PORT: u16 = 7;

impl Echo {
    pub fn begin(space: &Path, who: u8) -> Echo {
        let is_over = Arc::new(AtomicBool::new(false));
        let path = space.to_owned();
        let opened = std::thread::spawn(move || {
            enter(&path);
            let socket = UdpSocket::bind(("0.0.0.0", ECHO_PORT)).expect("a free port");
            let listener = TcpListener::bind(("0.0.0.0", ECHO_PORT)).expect("a free port");
            (socket, listener)
        });
        let (socket, listener) = opened.join().expect("it does not panic");
        let poll = Some(Duration::from_millis(50));
        socket.set_read_timeout(poll).expect("a time");
        listener.set_nonblocking(true).expect("it can");
        let ended = is_over.clone();
        let datagrams = std::thread::spawn(move || {
            let mut bytes = [0; 64];
            while !ended.load(Ordering::Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut bytes[..63]) {
                    bytes[len] = who;
                    let _ = socket.send_to(&bytes[..=len], from);
                }
            }
        });
        let ended = is_over.clone();
        let connections = std::thread::spawn(move || {
            let mut open: Vec<TcpStream> = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                open.extend(listener.accept().map(|(stream, _)| stream));
                for stream in &mut open {
                    stream.set_nonblocking(true).expect("it can");
                    let mut byte = [0; 1];
                    if stream.read(&mut byte).is_ok_and(|len| len == 1) {
                        let _ = stream.write_all(&[byte[0], who]);
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Echo { is_over, threads: vec![datagrams, connections] }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
