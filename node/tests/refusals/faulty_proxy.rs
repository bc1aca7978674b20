//! A proxy in front of a registry: it passes everything on, or has one fault.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Takes every request and never answers.
    Hang,
    /// Answers every request with this status.
    Status(&'static str),
}

/// Listens until the test process ends.
pub struct FaultyProxy {
    /// `127.0.0.1:PORT`.
    pub host: String,
    fault: Arc<Mutex<Fault>>,
}

impl FaultyProxy {
    pub fn open(registry: &str, fault: Fault) -> FaultyProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let fault = Arc::new(Mutex::new(fault));
        let (current, registry) = (fault.clone(), registry.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (current, registry) = (current.clone(), registry.clone());
                // A client that hangs up in the middle is no error.
                std::thread::spawn(move || serve(stream, &current, &registry));
            }
        });
        FaultyProxy { host, fault }
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().expect("nothing panics while it holds this") = fault;
    }
}

fn serve(mut stream: TcpStream, current: &Mutex<Fault>, registry: &str) -> std::io::Result<()> {
    // A client that tries TLS first is refused.
    let mut first = [0];
    stream.peek(&mut first)?;
    if first == [0x16] {
        return Ok(());
    }
    let fault = *current.lock().expect("nothing panics while it holds this");
    match fault {
        Fault::None => pass(stream, registry),
        Fault::Hang => {
            while *current.lock().expect("as above") == Fault::Hang {
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
        Fault::Status(status) => {
            let _ = stream.read(&mut [0; 4096])?;
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
    }
}

fn pass(mut client: TcpStream, registry: &str) -> std::io::Result<()> {
    let mut server = TcpStream::connect(registry)?;
    let (mut back_from, mut back_to) = (server.try_clone()?, client.try_clone()?);
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
    Ok(())
}
