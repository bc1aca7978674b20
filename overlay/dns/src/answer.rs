//! What is to be done with a message from a container: the decision, without a socket.
//!
//! A name that the zone has is answered here and never sent out, whatever is asked about it. It
//! gets NOERROR for every type: musl gives up a name as soon as one of its two queries says
//! NXDOMAIN, and waits five seconds after SERVFAIL, REFUSED or NOTIMP.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{Name, RData, RecordType};
use rand::seq::SliceRandom;

use crate::counters::Outcome;
use crate::reply::{self, Reply};
use crate::request::{Junk, Request, Transport};
use crate::zone::{Addresses, AskedName, Reverse, Zone};

/// What is to be done with a message.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Send this back.
    Reply(Vec<u8>, Outcome),
    /// Ask others.
    Forward(Box<Request>),
    /// Nothing.
    Ignore,
}

/// Decides about one message.
pub(crate) fn decide(
    message: &[u8],
    transport: Transport,
    zone: &dyn Zone,
    random: &mut impl rand::Rng,
) -> Verdict {
    let request = match Request::decode(message) {
        Ok(request) => request,
        Err(Junk::Silent) => return Verdict::Ignore,
        Err(Junk::Refuse(header, code)) => {
            let bytes = reply::refusal(&header, code);
            return bytes.map_or(Verdict::Ignore, |b| Verdict::Reply(b, Outcome::Rejected));
        }
    };
    let (reply, outcome) = match request.refusal() {
        Some(code) => (Reply::failure(&request, code), Outcome::Rejected),
        None => match own(&request, zone, random) {
            Some(own) => own,
            None => return Verdict::Forward(Box::new(request)),
        },
    };
    let bytes = reply.encode(request.answer_bytes_max(transport));
    bytes.map_or(Verdict::Ignore, |bytes| Verdict::Reply(bytes, outcome))
}

/// The answer from the zone, if the name is one of its.
fn own<'a>(
    request: &'a Request,
    zone: &dyn Zone,
    random: &mut impl rand::Rng,
) -> Option<(Reply<'a>, Outcome)> {
    let name = request.question.name();
    if let Some(address) = reverse_address(name) {
        return match zone.reverse(address) {
            Reverse::Foreign => None,
            Reverse::Unnamed => Some((Reply::own(request).no_name(), Outcome::Own)),
            Reverse::Named(text) => Some(named(request, &text)),
        };
    }
    let addresses = zone.addresses(&AskedName::from(name))?;
    let mut reply = Reply::own(request);
    for address in ranked(addresses, random) {
        match (request.question.query_type(), address) {
            (RecordType::A | RecordType::ANY, IpAddr::V4(v4)) => reply.add(RData::A(A(v4))),
            (RecordType::AAAA | RecordType::ANY, IpAddr::V6(v6)) => {
                reply.add(RData::AAAA(AAAA(v6)));
            }
            _ => {}
        }
    }
    Some((reply.or_no_data(), Outcome::Own))
}

fn named<'a>(request: &'a Request, text: &str) -> (Reply<'a>, Outcome) {
    let Ok(mut target) = Name::from_ascii(text) else {
        return (Reply::failure(request, ResponseCode::ServFail), Outcome::Failed);
    };
    target.set_fqdn(true);
    let mut reply = Reply::own(request);
    if matches!(request.question.query_type(), RecordType::PTR | RecordType::ANY) {
        reply.add(RData::PTR(PTR(target)));
    }
    (reply.or_no_data(), Outcome::Own)
}

/// The address that a name such as `1.0.9.10.in-addr.arpa.` stands for.
fn reverse_address(name: &Name) -> Option<IpAddr> {
    let net = name.parse_arpa_name().ok()?;
    let whole = net.prefix_len() == net.max_prefix_len();
    // Other spellings of the numbers (`01`, `+1`) name nothing.
    (whole && Name::from(net.addr()) == *name).then(|| net.addr())
}

fn ranked(addresses: Addresses, random: &mut impl rand::Rng) -> impl Iterator<Item = IpAddr> {
    let Addresses { mut reachable, mut unreachable } = addresses;
    reachable.shuffle(random);
    unreachable.shuffle(random);
    reachable.into_iter().chain(unreachable)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
    use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// Has every name that begins with `w`, with so many addresses.
    struct Everything(u16);

    impl Zone for Everything {
        fn addresses(&self, name: &AskedName) -> Option<Addresses> {
            let v6 = |n| std::net::Ipv6Addr::from(u128::from(n));
            let all = (0..self.0).map(|n| match n % 2 {
                0 => std::net::Ipv4Addr::from(u32::from(n)).into(),
                _ => v6(n).into(),
            });
            let addresses = Addresses { reachable: all.collect(), unreachable: Vec::new() };
            name.lower().starts_with('w').then_some(addresses)
        }

        fn reverse(&self, _: IpAddr) -> Reverse {
            Reverse::Named("not a name..".to_owned())
        }
    }

    fn verdict(message: &[u8], transport: Transport, addresses: u16) -> Verdict {
        decide(message, transport, &Everything(addresses), &mut StdRng::seed_from_u64(1))
    }

    /// Whatever comes in: an answer is a well-formed response with the id of the query, not too
    /// long, and never one to a response.
    fn check(message: &[u8], transport: Transport, addresses: u16) {
        let Verdict::Reply(reply, _) = verdict(message, transport, addresses) else { return };
        let mut decoder = BinDecoder::new(&reply);
        let answer = Message::read(&mut decoder).expect("well-formed");
        assert!(decoder.is_empty(), "{} bytes behind the message", decoder.len());
        assert_eq!(answer.metadata.message_type, MessageType::Response);
        assert_eq!(reply[..2], message[..2]);
        assert_eq!(message[2] & 0x80, 0, "an answer to a response");
        if let (Ok(request), Transport::Udp) = (Request::decode(message), transport) {
            let offered = request.edns.map_or(512, |edns| edns.max_payload().max(512));
            assert!(reply.len() <= usize::from(offered.min(1_232)), "{} bytes", reply.len());
        }
    }

    prop_compose! {
        fn query()(
            id: u16,
            labels in prop::collection::vec("[wW][a-z0-9_.-]{0,62}", 0..5),
            record_type: u16,
            class in prop_oneof![Just(1u16), any::<u16>()],
            payload in prop::option::of(any::<u16>()),
            count in 1usize..3,
        ) -> Message {
            let mut message = Message::new(id, MessageType::Query, OpCode::Query);
            let labels: Vec<Vec<u8>> = labels.into_iter().map(String::into_bytes).collect();
            let mut name = Name::from_labels(labels).unwrap_or_default();
            name.set_fqdn(true);
            for _ in 0..count {
                let mut query = Query::query(name.clone(), RecordType::from(record_type));
                query.set_query_class(class.into());
                message.add_query(query);
            }
            if let Some(payload) = payload {
                message.set_edns(Edns::new()).edns.as_mut().expect("set").set_max_payload(payload);
            }
            message
        }
    }

    fn transport() -> impl Strategy<Value = Transport> {
        prop_oneof![Just(Transport::Udp), Just(Transport::Tcp)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn random_bytes_are_answered_properly_or_not_at_all(
            message in prop::collection::vec(any::<u8>(), 0..600),
            transport in transport(),
        ) {
            check(&message, transport, 3);
        }

        #[test]
        fn queries_are_answered_properly(
            query in query(),
            transport in transport(),
            addresses in prop_oneof![0u16..100, Just(5_000)],
        ) {
            check(&query.to_vec().expect("encoded"), transport, addresses);
        }

        #[test]
        fn mutated_queries_are_answered_properly_or_not_at_all(
            query in query(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in prop::option::of(any::<prop::sample::Index>()),
            transport in transport(),
            addresses in 0u16..100,
        ) {
            let mut message = query.to_vec().expect("encoded");
            for (index, byte) in edits {
                let index = index.index(message.len());
                message[index] = byte;
            }
            if let Some(cut) = cut {
                message.truncate(cut.index(message.len()));
            }
            check(&message, transport, addresses);
        }
    }

    fn encoded(edit: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        let mut name = Name::from_ascii("web").expect("a name");
        name.set_fqdn(true);
        message.add_query(Query::query(name, RecordType::A));
        edit(&mut message);
        message.to_vec().expect("encoded")
    }

    fn code(message: &[u8]) -> Option<ResponseCode> {
        match verdict(message, Transport::Udp, 2) {
            Verdict::Reply(reply, _) => {
                Some(Message::from_vec(&reply).expect("well-formed").metadata.response_code)
            }
            Verdict::Forward(_) | Verdict::Ignore => None,
        }
    }

    #[test]
    fn what_is_no_query_gets_the_code_that_says_so() {
        assert_eq!(code(&encoded(|_| {})), Some(ResponseCode::NoError));
        let two = encoded(|message| message.queries.push(message.queries[0].clone()));
        assert_eq!(code(&two), Some(ResponseCode::FormErr));
        assert_eq!(code(&encoded(|message| message.queries.clear())), Some(ResponseCode::FormErr));
        for op_code in [OpCode::Status, OpCode::Notify, OpCode::Update, OpCode::Unknown(9)] {
            let other = encoded(|message| message.metadata.op_code = op_code);
            assert_eq!(code(&other), Some(ResponseCode::NotImp));
        }
        let newer = encoded(|message| {
            message.set_edns(Edns::new()).edns.as_mut().expect("set").set_version(1);
        });
        // hickory-proto decodes 16 to its other meaning, BADSIG.
        assert_eq!(code(&newer).map(u16::from), Some(ResponseCode::BADVERS.into()));
        let whole = encoded(|_| {});
        assert_eq!(code(&whole[..whole.len() - 1]), Some(ResponseCode::FormErr));
        for length in 0..12 {
            assert_eq!(code(&whole[..length]), None);
        }
        let response = encoded(|message| message.metadata.message_type = MessageType::Response);
        assert_eq!(code(&response), None);
        let transfer = encoded(|message| {
            message.queries[0].set_query_type(RecordType::AXFR);
        });
        assert_eq!(code(&transfer), Some(ResponseCode::Refused));
    }
}
