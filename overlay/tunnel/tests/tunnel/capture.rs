//! What passes the links of a network namespace, read from a packet socket: no program has to be
//! installed for it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// Everything that passed since it was made.
pub struct Capture {
    packets: Arc<Mutex<Vec<Vec<u8>>>>,
    is_over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// Begins to capture in the namespace that is mounted at this path.
    pub fn begin(namespace: &Path) -> Capture {
        let file = File::open(namespace).expect("a namespace");
        let entered = std::thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).expect("entered, as root");
            let (family, kind) = (AddressFamily::Packet, SockType::Raw);
            let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
            let socket = socket.expect("a packet socket, as root");
            setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20)).expect("room, as root");
            let timeout = TimeVal::new(0, 20_000);
            setsockopt(&socket, sockopt::ReceiveTimeout, &timeout).expect("a timeout");
            socket
        });
        let socket = entered.join().expect("it did not panic");
        let (packets, is_over) =
            (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (held, over) = (Arc::clone(&packets), Arc::clone(&is_over));
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 17];
            while !over.load(Ordering::Relaxed) {
                if let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    held.lock().expect("nothing panics").push(buffer[..length].to_vec());
                }
            }
        });
        Capture { packets, is_over, reader: Some(reader) }
    }

    /// Did this pass?
    pub fn shows(&self, what: &[u8]) -> bool {
        self.any(|packet| packet.windows(what.len()).any(|window| window == what))
    }

    /// Did such a packet pass, with its Ethernet header?
    pub fn any(&self, is_such: impl Fn(&[u8]) -> bool) -> bool {
        self.packets.lock().expect("nothing panics").iter().any(|packet| is_such(packet))
    }

    /// Waits until this passed.
    pub fn await_bytes(&self, what: &[u8]) {
        let begun = Instant::now();
        while !self.shows(what) {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never passed: {what:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.reader.take().map(JoinHandle::join);
    }
}
