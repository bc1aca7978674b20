//! The largest segments of TCP, which both ends say when a connection begins.
//!
//! A task knows the size that its own link carries. The way to the other end may carry less, and says
//! so by ICMP to the sender of a packet that is too large, which filters on the way love to drop. So
//! what both ends say is lowered to what the routes here carry, and neither sends more. The rule in
//! the language of `nft`:
//!
//! ```text
//! chain segments { type filter hook forward priority mangle;
//!                  tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu }
//! ```

use super::expression::{Meta, Rule};
use super::flows::TCP;
use super::layout::{Chain, FORWARD_CHANGE};

/// Where the flags are in the header of TCP.
const FLAGS_OFFSET: u32 = 13;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// The chain that lowers the largest segment of new connections.
pub(super) fn chain() -> Chain {
    let tcp = Rule::default().meta(Meta::Protocol, 0).is(0, &[TCP]);
    let opens = tcp.transport_byte(FLAGS_OFFSET, 0).mask(0, &[SYN | RST]).is(0, &[SYN]);
    Chain::at(FORWARD_CHANGE, "segments", vec![opens.clamp_segment()])
}
