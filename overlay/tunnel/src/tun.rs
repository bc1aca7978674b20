//! The TUN device, by which the kernel gives IP packets to this process and takes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

/// Where the kernel makes TUN devices.
const DEVICE: &str = "/dev/net/tun";

/// Packets that wait for this process at most, as in the kernel's own WireGuard: VXLAN hands over
/// some 45 at once for each buffer of TCP, and at 1 Gbit/s these are 10 ms.
const QUEUE_PACKETS: libc::c_int = 1000;

/// A TUN device. It ends with the process.
pub struct Tun {
    file: File,
}

impl Tun {
    /// Makes the device.
    ///
    /// # Errors
    /// The machine has none, the process may not, or somebody has a link of this name.
    pub fn open(name: &str) -> io::Result<Tun> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE)?;
        // SAFETY: a structure of numbers, for which zeros are valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if name.len() >= request.ifr_name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_TUN_EXCL | libc::IFF_VNET_HDR;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: the descriptor is open, and the structure is what TUNSETIFF reads and writes.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
        if made < 0 {
            return Err(io::Error::last_os_error());
        }
        // If the kernel refuses, the queue is shorter.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
            request.ifr_ifru.ifru_metric = QUEUE_PACKETS;
            // SAFETY: the descriptor is open, and the structure is what SIOCSIFTXQLEN reads.
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFTXQLEN as _, &raw mut request) };
        }
        Ok(Tun { file })
    }

    /// The next packet of the kernel, behind a header of virtio that says nothing.
    ///
    /// # Errors
    /// `WouldBlock`: there is none.
    pub fn read(&self, packet: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(packet)
    }

    /// Hands a packet with its header of virtio to the kernel.
    ///
    /// # Errors
    /// The link is down, or the kernel has no room: the packet is lost.
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        (&self.file).write(packet).map(|_| ())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Can this process make a tunnel? Found out by making a device that is gone at once.
///
/// # Errors
/// What is missing, and what to do.
pub fn is_able() -> Result<(), String> {
    let name = format!("probe{}", std::process::id());
    let explain = |error: io::Error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => format!(
            "the machine has no {DEVICE}: load the module tun, or use a kernel with CONFIG_TUN \
             ({error})"
        ),
        Some(libc::EPERM | libc::EACCES) => format!(
            "the agent may not make TUN devices: start it as root, with CAP_NET_ADMIN and access to \
             {DEVICE} ({error})"
        ),
        _ => format!("no TUN device can be made ({error})"),
    };
    Tun::open(&name).map(drop).map_err(explain)
}
