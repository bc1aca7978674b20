//! Netlink messages of the netfilter subsystems, written and read.
//!
//! The crate `netlink-packet-netfilter` 0.4.0 could express the elements, but no `numgen`, `nat`,
//! `fib` or `reject`; it brings a second `netlink-packet-core` (0.9 beside the 0.8 of the route
//! crates); and it hides where an element lies in a message, which is what the kernel names when it
//! refuses one. So this file writes attributes itself and reads them with `netlink-packet-core`.
//! It must never interpret what it carries.

use netlink_packet_core::{NLA_F_NESTED, NetlinkBuffer, NlasIterator};

/// Bytes of the header of a netlink message and of the netfilter header after it.
pub(super) const HEADERS_BYTES: usize = 16 + 4;
/// The message is a request.
pub(super) const REQUEST: u16 = 0x1;
/// An answer is wanted also if all is well.
pub(super) const ACKNOWLEDGE: u16 = 0x4;
/// All objects are wanted.
pub(super) const DUMP: u16 = 0x300;
/// What does not exist is made.
pub(super) const CREATE: u16 = 0x400;
/// What exists already is an error.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// A rule goes to the end of its chain.
pub(super) const APPEND: u16 = 0x800;

const SUBSYSTEM_TABLES: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

/// The number of a message of nf_tables.
pub(super) const fn tables(message: u16) -> u16 {
    SUBSYSTEM_TABLES << 8 | message
}

/// The families of netfilter.
pub(super) mod family {
    /// All of them.
    pub(in super::super) const ANY: u8 = 0;
    /// IPv4 and IPv6 in one table.
    pub(in super::super) const INET: u8 = 1;
    /// IPv4.
    pub(in super::super) const IPV4: u8 = 2;
    /// Whatever comes by a device.
    pub(in super::super) const DEVICE: u8 = 5;
    /// IPv6.
    pub(in super::super) const IPV6: u8 = 10;
}

/// Messages one after the other, numbered from 0.
#[derive(Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    count: u32,
}

impl Messages {
    /// Opens a transaction of nf_tables.
    pub(super) fn transaction() -> Self {
        let mut messages = Self::default();
        messages.control(BATCH_BEGIN);
        messages
    }

    /// Closes a transaction of nf_tables.
    pub(super) fn close_transaction(&mut self) {
        self.control(BATCH_END);
    }

    fn control(&mut self, kind: u16) {
        let start = self.bytes.len();
        self.push(kind, REQUEST, family::ANY, |_| ());
        // The subsystem that the transaction is for stands in the last field of the header.
        self.bytes[start + 18..start + 20].copy_from_slice(&SUBSYSTEM_TABLES.to_be_bytes());
    }

    /// Adds a message.
    pub(super) fn push(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        body: impl FnOnce(&mut Attributes<'_>),
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&[family, 0, 0, 0]);
        body(&mut Attributes(&mut self.bytes));
        let length = self.bytes.len() - start;
        let length = u32::try_from(length).expect("a message is far below 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.count += 1;
    }

    /// How many messages there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The messages, numbered from `first` on; the one numbered `acknowledge` so far asks for an
    /// answer also if all is well.
    pub(super) fn finish(mut self, first: u32, acknowledge: u32) -> Vec<u8> {
        let mut start = 0;
        while start < self.bytes.len() {
            let message = &mut self.bytes[start..];
            let length = NetlinkBuffer::new(&message).length() as usize;
            let mut header = NetlinkBuffer::new(&mut *message);
            let number = header.sequence_number();
            if number == acknowledge {
                header.set_flags(header.flags() | ACKNOWLEDGE);
            }
            header.set_sequence_number(first.wrapping_add(number));
            start += length;
        }
        self.bytes
    }
}

/// Attributes at the end of a message that is being written.
pub(super) struct Attributes<'a>(&'a mut Vec<u8>);

impl<'a> Attributes<'a> {
    /// Attributes that are kept apart, to be put into a message later.
    pub(super) fn into_buffer(buffer: &'a mut Vec<u8>) -> Self {
        Self(buffer)
    }

    /// Bytes as they are.
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).expect("a value is far below 64 KiB");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A number of 32 bits, in network byte order as all numbers of netfilter.
    pub(super) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A text with a zero at its end.
    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Attributes inside an attribute.
    pub(super) fn nested(
        &mut self,
        kind: u16,
        body: impl FnOnce(&mut Attributes<'_>),
    ) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        body(&mut Attributes(self.0));
        let length = u16::try_from(self.0.len() - start).expect("the caller splits long lists");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Attributes that were written before.
    pub(super) fn written(&mut self, attributes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(attributes);
        self
    }

    /// Where the message begins, asked before anything was added to it.
    pub(super) fn message_start(&self) -> usize {
        self.0.len() - HEADERS_BYTES
    }

    /// Where the next attribute will begin.
    pub(super) fn position(&self) -> usize {
        self.0.len()
    }
}

/// The attributes in `bytes`, by number; what is malformed ends the list.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|attribute| {
        let end = usize::from(attribute.length());
        (attribute.kind(), &attribute.into_inner()[4..end])
    })
}

/// The first attribute of a number.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A number of 32 bits in network byte order.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// A text that ends at the first zero.
pub(super) fn text(value: &[u8]) -> &str {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).unwrap_or_default()
}
