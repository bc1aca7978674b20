//! The two messages of a discovery, as DNS-SD has them (RFC 6763): a query for a subtype of our service,
//! which is the number of a token, and an answer with one instance.
//!
//! Anything may come in here, from any program on the link; what is not ours is nothing.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use crdt_state::token::TokenId;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::{A, PTR, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// The largest packet that is read: ours have 200 bytes, and what is larger is of others.
pub(super) const BYTES_MAX: usize = 1_024;

/// The type of our service.
const SERVICE: &str = "_edgectl._udp.local.";

/// How long an answer may be kept by others, in seconds. Nobody needs it later.
const TTL_SECONDS: u32 = 10;

/// A message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discovery {
    /// Who knows this token?
    Query(TokenId),
    /// A member of its fleet listens there.
    Answer {
        /// The token that was asked for.
        token: TokenId,
        /// Where.
        addr: SocketAddr,
    },
}

/// Asks who knows a token.
pub(super) fn query(token: TokenId) -> Vec<u8> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(subtype(token), RecordType::PTR));
    message.to_vec().expect("a short message of short names")
}

/// Answers that this node does, and where it listens.
pub(super) fn answer(token: TokenId, addr: SocketAddrV4) -> Vec<u8> {
    let [a, b, c, d] = addr.ip().octets();
    let port = addr.port();
    // Names that tell no more than the address does.
    let host = name(&format!("edgectl-{a}-{b}-{c}-{d}.local."));
    let instance = name(&format!("{a}-{b}-{c}-{d}-{port}.{SERVICE}"));
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = true;
    let found = RData::PTR(PTR(instance.clone()));
    message.add_answer(Record::from_rdata(subtype(token), TTL_SECONDS, found));
    let service = RData::SRV(SRV::new(0, 0, port, host.clone()));
    message.add_additional(Record::from_rdata(instance, TTL_SECONDS, service));
    message.add_additional(Record::from_rdata(host, TTL_SECONDS, RData::A(A(*addr.ip()))));
    message.to_vec().expect("a short message of short names")
}

/// The message, if it is one of ours.
pub(super) fn decode(bytes: &[u8]) -> Option<Discovery> {
    // Most packets on a link are of other services, and cost no more than this.
    if !bytes.windows(8).any(|word| word.eq_ignore_ascii_case(b"_edgectl")) {
        return None;
    }
    let message = Message::from_vec(bytes).ok()?;
    if message.metadata.op_code != OpCode::Query {
        return None;
    }
    match message.metadata.message_type {
        MessageType::Query => message.queries.iter().find_map(|query| {
            let is_wanted = matches!(query.query_type(), RecordType::PTR | RecordType::ANY);
            // The first bit of the class asks for an answer to the sender alone, which is not given.
            let class = u16::from(query.query_class()) & 0x7fff;
            let is_ours = is_wanted && class == u16::from(DNSClass::IN);
            token(query.name()).filter(|_| is_ours).map(Discovery::Query)
        }),
        MessageType::Response => found(&message),
    }
}

fn found(message: &Message) -> Option<Discovery> {
    let (token, instance) = message.answers.iter().find_map(|record| match &record.data {
        RData::PTR(instance) => Some((token(&record.name)?, &instance.0)),
        _ => None,
    })?;
    let all = || message.answers.iter().chain(&message.additionals);
    let (port, host) = all().find_map(|record| match &record.data {
        RData::SRV(service) if record.name == *instance => Some((service.port, &service.target)),
        _ => None,
    })?;
    let ip: Ipv4Addr = all().find_map(|record| match &record.data {
        RData::A(address) if record.name == *host => Some(address.0),
        _ => None,
    })?;
    let is_usable = !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast() && port != 0;
    is_usable.then_some(Discovery::Answer { token, addr: SocketAddr::from((ip, port)) })
}

fn subtype(token: TokenId) -> Name {
    name(&format!("_{token}._sub.{SERVICE}"))
}

/// The token whose subtype this is.
fn token(subtype: &Name) -> Option<TokenId> {
    let text = subtype.to_ascii().to_ascii_lowercase();
    let digits = text.strip_suffix(SERVICE)?.strip_suffix("._sub.")?.strip_prefix('_')?;
    if digits.len() != 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().map(|number| TokenId(number.to_be_bytes()))
}

fn name(text: &str) -> Name {
    text.parse().expect("ASCII labels of less than 64 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: TokenId = TokenId([0x5f, 0x3a, 0, 0, 0, 0, 0, 9]);

    #[test]
    fn both_messages_are_read_as_they_were_written() {
        assert_eq!(decode(&query(TOKEN)), Some(Discovery::Query(TOKEN)));
        let addr = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 7946);
        let answer = answer(TOKEN, addr);
        assert_eq!(decode(&answer), Some(Discovery::Answer { token: TOKEN, addr: addr.into() }));
        assert!(answer.len() <= 200, "{}", answer.len());
    }

    #[test]
    fn an_answer_tells_the_address_and_the_token_s_number_and_nothing_else() {
        let addr = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 7946);
        let message = Message::from_vec(&answer(TOKEN, addr)).expect("a message");
        let names: Vec<String> = message
            .answers
            .iter()
            .chain(&message.additionals)
            .map(|record| format!("{} {}", record.name, record.data))
            .collect();
        assert_eq!(
            names,
            [
                "_5f3a000000000009._sub._edgectl._udp.local. 10-0-0-1-7946._edgectl._udp.local.",
                "10-0-0-1-7946._edgectl._udp.local. 0 0 7946 edgectl-10-0-0-1.local.",
                "edgectl-10-0-0-1.local. 10.0.0.1",
            ]
        );
    }

    #[test]
    fn who_asks_for_the_service_without_a_token_is_told_nothing() {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name(SERVICE), RecordType::PTR));
        assert_eq!(decode(&message.to_vec().expect("short")), None);
    }

    #[test]
    fn an_answer_that_leads_to_everybody_is_none() {
        let everybody = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 7946);
        assert_eq!(decode(&answer(TOKEN, everybody)), None);
    }

    proptest! {
        #[test]
        fn no_packet_ends_the_agent(
            at in 0_usize..200, byte: u8, is_query: bool, cut in 0_usize..200,
        ) {
            let addr = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 7946);
            let mut bytes = if is_query { query(TOKEN) } else { answer(TOKEN, addr) };
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut.max(12));
            decode(&bytes);
        }
    }
}
