//! The expressions of nf_tables rules that the balancers use, and rules made of them.
//!
//! Names and numbers are those of `include/uapi/linux/netfilter/nf_tables.h`. What `nft
//! --debug=netlink` shows for the same rule in its own language is what is built here.

mod rewrite;
mod routes;

use super::message::Attributes;

pub(super) use rewrite::Checksum;

/// A register of 4 bytes, numbered from 0; addresses of IPv6 take four.
pub(super) type Register = u32;

const COUNTER: &str = "counter";
const COUNTER_PACKETS: u16 = 2;

const REGISTER_BASE: u32 = 8;
const REGISTER_VERDICT: u32 = 0;

const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const LIST_ELEMENT: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const VERDICT_GOTO: i32 = -4;
const VERDICT_DROP: i32 = 0;
const VERDICT_ACCEPT: i32 = 1;

/// A property of a packet that is not in it.
#[derive(Clone, Copy)]
pub(super) enum Meta {
    /// The index of the device by which it came.
    Input = 4,
    /// The name of the device by which it came.
    InputName = 6,
    /// The name of the device by which it leaves.
    OutputName = 7,
    /// The family.
    Family = 15,
    /// The protocol above IP.
    Protocol = 16,
    /// Whom it is for: this machine, or all on the link, or a group.
    Kind = 19,
}

/// Bits of a connection.
#[derive(Clone, Copy)]
pub(super) enum Connection {
    /// Is it new, established, …
    State = 0,
    /// Is it translated, …
    Status = 2,
}

/// The state of a packet that opens a connection.
pub(super) const STATE_NEW: u32 = 8;
/// The status of a connection whose destination is translated.
pub(super) const STATUS_DESTINATION_TRANSLATED: u32 = 1 << 5;

/// What a packet is translated to.
#[derive(Clone, Copy)]
pub(super) enum Translate {
    /// Its source.
    Source = 0,
    /// Its destination.
    Destination = 1,
}

/// A rule that is being written.
#[derive(Clone, Default)]
pub(super) struct Rule(Vec<u8>);

impl Rule {
    /// Its expressions as the kernel takes them.
    pub(super) fn expressions(&self) -> &[u8] {
        &self.0
    }

    fn expression(mut self, name: &str, data: impl FnOnce(&mut Attributes<'_>)) -> Self {
        Attributes::into_buffer(&mut self.0).nested(LIST_ELEMENT, |element| {
            element.text(EXPRESSION_NAME, name).nested(EXPRESSION_DATA, data);
        });
        self
    }

    /// Loads a property.
    pub(super) fn meta(self, key: Meta, to: Register) -> Self {
        self.expression("meta", |data| {
            data.number(1, REGISTER_BASE + to).number(2, key as u32);
        })
    }

    /// Loads bytes of the network header.
    pub(super) fn network(self, offset: u32, bytes: u32, to: Register) -> Self {
        self.payload(1, offset, bytes, to)
    }

    /// Loads the destination port.
    pub(super) fn destination_port(self, to: Register) -> Self {
        self.payload(2, 2, 2, to)
    }

    /// Loads the number of the network from a packet of VXLAN: behind the eight bytes of UDP and the
    /// first four of VXLAN.
    pub(super) fn vni(self, to: Register) -> Self {
        self.payload(2, 12, 3, to)
    }

    /// Loads a byte of the transport header.
    pub(super) fn transport_byte(self, offset: u32, to: Register) -> Self {
        self.payload(2, offset, 1, to)
    }

    fn payload(self, base: u32, offset: u32, bytes: u32, to: Register) -> Self {
        self.expression("payload", |data| {
            data.number(1, REGISTER_BASE + to).number(2, base).number(3, offset).number(4, bytes);
        })
    }

    /// Goes on if the register begins with `value`.
    pub(super) fn is(self, register: Register, value: &[u8]) -> Self {
        self.compare(register, 0, value)
    }

    /// Goes on if the register does not begin with `value`.
    pub(super) fn differs(self, register: Register, value: &[u8]) -> Self {
        self.compare(register, 1, value)
    }

    fn compare(self, register: Register, operation: u32, value: &[u8]) -> Self {
        self.expression("cmp", |data| {
            data.number(1, REGISTER_BASE + register)
                .number(2, operation)
                .nested(3, |compared| _ = compared.bytes(DATA_VALUE, value));
        })
    }

    /// Goes on if the packet is of the family.
    pub(super) fn family(self, family: u8) -> Self {
        self.meta(Meta::Family, 0).is(0, &[family])
    }

    /// Goes on if the connection has one of the bits.
    pub(super) fn connection(self, key: Connection, bits: u32) -> Self {
        self.connection_bits(key, bits).differs(0, &[0; 4])
    }

    /// Goes on if the connection has none of the bits.
    pub(super) fn connection_without(self, key: Connection, bits: u32) -> Self {
        self.connection_bits(key, bits).is(0, &[0; 4])
    }

    fn connection_bits(self, key: Connection, bits: u32) -> Self {
        self.expression("ct", |data| {
            data.number(1, REGISTER_BASE).number(2, key as u32);
        })
        .mask(0, &bits.to_ne_bytes())
    }

    /// Clears the bits of a register that are not in `mask`.
    pub(super) fn mask(self, register: Register, mask: &[u8]) -> Self {
        self.expression("bitwise", |data| {
            data.number(1, REGISTER_BASE + register)
                .number(2, REGISTER_BASE + register)
                .number(3, u32::try_from(mask.len()).expect("a mask of a few bytes"))
                .nested(4, |value| _ = value.bytes(DATA_VALUE, mask))
                .nested(5, |value| _ = value.bytes(DATA_VALUE, &vec![0; mask.len()]));
        })
    }

    /// Loads a random number below `modulus`.
    pub(super) fn random(self, modulus: u32, to: Register) -> Self {
        const RANDOM: u32 = 1;
        self.expression("numgen", |data| {
            data.number(1, REGISTER_BASE + to).number(2, modulus).number(3, RANDOM);
        })
    }

    /// Goes on if the registers from 0 on are in a set.
    pub(super) fn in_set(self, set: &str) -> Self {
        self.expression("lookup", |data| {
            data.text(1, set).number(2, REGISTER_BASE);
        })
    }

    /// Looks the registers from 0 on up in a map; goes on if they are in it.
    pub(super) fn map(self, map: &str, to: Register) -> Self {
        self.expression("lookup", |data| {
            data.text(1, map).number(2, REGISTER_BASE).number(3, REGISTER_BASE + to);
        })
    }

    /// Looks the registers from 0 on up in a map of verdicts.
    pub(super) fn verdict_map(self, map: &str) -> Self {
        self.expression("lookup", |data| {
            data.text(1, map).number(2, REGISTER_BASE).number(3, REGISTER_VERDICT);
        })
    }

    /// Translates an address to what is in a register.
    pub(super) fn translate(self, what: Translate, family: u8, address: Register) -> Self {
        self.expression("nat", |data| {
            data.number(1, what as u32)
                .number(2, u32::from(family))
                .number(3, REGISTER_BASE + address);
        })
    }

    /// Translates a destination to the address and the port in two registers.
    pub(super) fn translate_port(self, family: u8, address: Register, port: Register) -> Self {
        self.expression("nat", |data| {
            data.number(1, Translate::Destination as u32)
                .number(2, u32::from(family))
                .number(3, REGISTER_BASE + address)
                .number(5, REGISTER_BASE + port);
        })
    }

    /// Translates the source to the address of the device by which the packet leaves.
    pub(super) fn masquerade(self) -> Self {
        self.expression("masq", |_| ())
    }

    /// Refuses a TCP packet: the client reads "connection refused" or "reset".
    pub(super) fn reject_tcp(self) -> Self {
        const TCP: u8 = 6;
        self.meta(Meta::Protocol, 0).is(0, &[TCP]).expression("reject", |data| {
            data.number(1, 1).bytes(2, &[0]);
        })
    }

    /// Refuses a packet with ICMP "port unreachable".
    pub(super) fn reject(self) -> Self {
        self.reject_with(1)
    }

    /// Refuses a packet with ICMP "administratively prohibited".
    pub(super) fn prohibit(self) -> Self {
        self.reject_with(3)
    }

    fn reject_with(self, code: u8) -> Self {
        self.expression("reject", |data| {
            data.number(1, 2).bytes(2, &[code]);
        })
    }

    /// Lowers the largest segment that a packet of TCP asks for to what the routes of both
    /// directions carry. A smaller one stays.
    pub(super) fn clamp_segment(self) -> Self {
        const KEY_SEGMENT: u32 = 3;
        const TO_NETWORK_ORDER: u32 = 1;
        const OPTION_SEGMENT: u8 = 2;
        const OF_TCP: u32 = 1;
        self.expression("rt", |data| {
            data.number(1, REGISTER_BASE).number(2, KEY_SEGMENT);
        })
        .expression("byteorder", |data| {
            data.number(1, REGISTER_BASE).number(2, REGISTER_BASE);
            data.number(3, TO_NETWORK_ORDER).number(4, 2).number(5, 2);
        })
        .expression("exthdr", |data| {
            data.bytes(2, &[OPTION_SEGMENT]).number(3, 2).number(4, 2);
            data.number(6, OF_TCP).number(7, REGISTER_BASE);
        })
    }

    /// Sends a copy out by the device with this index.
    pub(super) fn copy_to(self, device: u32) -> Self {
        self.expression("immediate", |data| {
            data.number(1, REGISTER_BASE)
                .nested(2, |value| _ = value.bytes(DATA_VALUE, &device.to_ne_bytes()));
        })
        .expression("dup", |data| _ = data.number(2, REGISTER_BASE))
    }

    /// Counts the packets that come here.
    pub(super) fn counted(self) -> Self {
        self.expression(COUNTER, |_| ())
    }

    /// Drops the packet.
    pub(super) fn drop_packet(self) -> Self {
        self.verdict(VERDICT_DROP)
    }

    /// Lets the packet go on; other tables still judge it.
    pub(super) fn accept(self) -> Self {
        self.verdict(VERDICT_ACCEPT)
    }

    fn verdict(self, code: i32) -> Self {
        self.expression("immediate", |data| {
            data.number(1, REGISTER_VERDICT)
                .nested(2, |verdict| write_verdict(verdict, code, None));
        })
    }

    /// Goes to a chain.
    pub(super) fn goto(self, chain: &str) -> Self {
        self.expression("immediate", |data| {
            data.number(1, REGISTER_VERDICT).nested(2, |verdict| write_goto(verdict, chain));
        })
    }
}

/// Writes the verdict "go to a chain" as the data of a rule or an element.
pub(super) fn write_goto(data: &mut Attributes<'_>, chain: &str) {
    write_verdict(data, VERDICT_GOTO, Some(chain));
}

/// Writes a value as the key or the data of an element.
pub(super) fn write_value(data: &mut Attributes<'_>, value: &[u8]) {
    data.bytes(DATA_VALUE, value);
}

fn write_verdict(data: &mut Attributes<'_>, code: i32, chain: Option<&str>) {
    data.nested(DATA_VERDICT, |verdict| {
        verdict.bytes(VERDICT_CODE, &code.to_be_bytes());
        if let Some(chain) = chain {
            verdict.text(VERDICT_CHAIN, chain);
        }
    });
}

/// The packets that the expressions of a rule counted.
pub(super) fn read_counted(expressions: &[u8]) -> u64 {
    use super::message::{attribute, attributes, text};
    let counters = attributes(expressions).filter_map(|(_, expression)| {
        let is_counter = attribute(expression, EXPRESSION_NAME).map(text) == Some(COUNTER);
        let data = attribute(expression, EXPRESSION_DATA).filter(|_| is_counter)?;
        attribute(data, COUNTER_PACKETS)?.try_into().ok().map(u64::from_be_bytes)
    });
    counters.sum()
}

/// The value, or the chain of the verdict, in the data of an element.
pub(super) fn read_data(data: &[u8]) -> Option<ReadData<'_>> {
    use super::message::{attribute, text};
    if let Some(value) = attribute(data, DATA_VALUE) {
        return Some(ReadData::Value(value));
    }
    let chain = attribute(attribute(data, DATA_VERDICT)?, VERDICT_CHAIN)?;
    Some(ReadData::Chain(text(chain)))
}

/// What an element of a dump holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadData<'a> {
    /// Bytes.
    Value(&'a [u8]),
    /// "Go to this chain".
    Chain(&'a str),
}
