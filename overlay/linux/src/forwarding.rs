//! Whether the host forwards packets, which traffic between networks and the outside needs.
//!
//! The switch is the machine's, not ours: it is read often and written only when somebody says so.

use std::io;
use std::path::Path;

use crate::links::Links;
use crate::sysctl;

/// Which families the host forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarding {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl Links {
    /// Says what the host forwards.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn forwarding(&self) -> io::Result<Forwarding> {
        self.host.namespace.enter(read)
    }

    /// Lets the host forward both families, and says what it forwards now.
    ///
    /// A host that takes its IPv6 addresses and default route from router advertisements stops to
    /// when it forwards; links that accept advertisements are set to go on before.
    ///
    /// # Errors
    /// `/proc` cannot be written: it is read-only in a container.
    pub fn allow_forwarding(&self) -> io::Result<Forwarding> {
        self.host.namespace.enter(|| {
            sysctl::set("ipv4/ip_forward", "1")?;
            for entry in Path::new("/proc/sys/net/ipv6/conf").read_dir()? {
                let setting = format!("ipv6/conf/{}/accept_ra", entry?.file_name().display());
                if sysctl::read(&setting)? == "1" {
                    sysctl::set(&setting, "2")?;
                }
            }
            sysctl::set("ipv6/conf/all/forwarding", "1")?;
            read()
        })
    }
}

fn read() -> io::Result<Forwarding> {
    Ok(Forwarding {
        ipv4: sysctl::read("ipv4/ip_forward")? == "1",
        ipv6: sysctl::read("ipv6/conf/all/forwarding")? == "1",
    })
}
