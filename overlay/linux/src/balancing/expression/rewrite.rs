//! Expressions that change the ports in a packet where it is, without a list of flows.

use super::{DATA_VALUE, REGISTER_BASE, Rule};

/// Where a header has its checksum, which the kernel changes along with the port.
#[derive(Clone, Copy)]
pub(in super::super) enum Checksum {
    /// Of ICMP.
    Icmp = 2,
    /// Of UDP.
    Udp = 6,
    /// Of TCP.
    Tcp = 16,
}

impl Rule {
    /// Loads two bytes of the transport header.
    pub(in super::super) fn port_at(self, offset: u32) -> Self {
        self.payload(2, offset, 2, 0)
    }

    /// Writes a port into the transport header.
    pub(in super::super) fn write_port(self, offset: u32, port: u16, checksum: Checksum) -> Self {
        const TRANSPORT: u32 = 2;
        const CHECKSUM_OF_INTERNET: u32 = 1;
        self.expression("immediate", |data| {
            data.number(1, REGISTER_BASE)
                .nested(2, |value| _ = value.bytes(DATA_VALUE, &port.to_be_bytes()));
        })
        .expression("payload", |data| {
            data.number(2, TRANSPORT).number(3, offset).number(4, 2).number(5, REGISTER_BASE);
            data.number(6, CHECKSUM_OF_INTERNET).number(7, checksum as u32);
        })
    }
}
