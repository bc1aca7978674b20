//! The fleet's names.

use std::collections::BTreeSet;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use overlay_dns::TTL_SECONDS;

use crate::client::{
    addresses, ask, assert_kept_shortly, assert_no_data, code, query, tcp, udp, with_edns,
};
use crate::server::TestServer;
use crate::upstream::{Behaviour, TestUpstream};
use crate::zone::{MANY, v4, v6};

#[tokio::test]
async fn a_name_has_the_addresses_of_the_family_asked() {
    let server = TestServer::start(&[]);
    let a = ask(server.address, "both", RecordType::A).await;
    assert_eq!(addresses(&a), [v4(2)]);
    assert!(a.metadata.authoritative && a.metadata.recursion_available);
    assert!(a.answers.iter().all(|record| record.ttl == TTL_SECONDS));
    assert_eq!(addresses(&ask(server.address, "both", RecordType::AAAA).await), [v6(2)]);
    let any = addresses(&ask(server.address, "both", RecordType::ANY).await);
    assert_eq!(any.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([v4(2), v6(2)]));
    assert_eq!(server.counts().own, 3);
}

/// musl gives up a name when one of its two queries is answered with NXDOMAIN.
#[tokio::test]
async fn a_name_that_exists_exists_for_every_type_and_is_asked_nowhere_else() {
    let upstream = TestUpstream::start(Behaviour::Answer).await;
    let server = TestServer::start(&[upstream.address]);
    let other_types = [
        RecordType::MX,
        RecordType::TXT,
        RecordType::HTTPS,
        RecordType::SVCB,
        RecordType::SRV,
        RecordType::CNAME,
        RecordType::NS,
        RecordType::SOA,
        RecordType::Unknown(65_280),
    ];
    for record_type in other_types {
        assert_no_data(&ask(server.address, "both", record_type).await);
    }
    assert_no_data(&ask(server.address, "four", RecordType::AAAA).await);
    assert_no_data(&ask(server.address, "six", RecordType::A).await);
    // A service with a virtual address and without tasks.
    for record_type in [RecordType::A, RecordType::AAAA, RecordType::ANY] {
        assert_no_data(&ask(server.address, "empty", record_type).await);
    }
    assert_eq!(upstream.received(), 0);
}

#[tokio::test]
async fn case_counts_only_where_the_zone_says_so_and_the_owner_is_as_asked() {
    let server = TestServer::start(&[]);
    let answer = ask(server.address, "WeB.Backend", RecordType::A).await;
    assert_eq!(addresses(&answer), [v4(3)]);
    let asked = Name::from_ascii("WeB.Backend.").expect("a name");
    assert!(answer.answers[0].name.eq_case(&asked));
    let answer = ask(server.address, "web.backend", RecordType::A).await;
    assert_eq!(code(&answer), ResponseCode::NXDomain);
}

#[tokio::test]
async fn a_change_is_visible_at_once() {
    let server = TestServer::start(&[]);
    assert_eq!(code(&ask(server.address, "new", RecordType::A).await), ResponseCode::NXDomain);
    server.zone.set("new", &[v4(9)], &[]);
    assert_eq!(addresses(&ask(server.address, "new", RecordType::A).await), [v4(9)]);
}

#[tokio::test]
async fn addresses_are_shuffled_within_their_rank() {
    let server = TestServer::start(&[]);
    let mut firsts = BTreeSet::new();
    for _ in 0..20 {
        let all = addresses(&tcp(server.address, &query("many", RecordType::A)).await);
        assert_eq!(all.len(), usize::from(MANY.0 + MANY.1));
        let (reachable, unreachable) = all.split_at(MANY.0.into());
        assert!(reachable.iter().all(|address| *address < v4(200)), "{all:?}");
        assert!(unreachable.iter().all(|address| *address >= v4(200)), "{all:?}");
        firsts.insert(reachable[0]);
    }
    assert!(firsts.len() > 5, "{firsts:?}");
}

#[tokio::test]
async fn what_does_not_fit_is_cut_between_records_and_tcp_has_all() {
    let server = TestServer::start(&[]);
    let many = usize::from(MANY.0 + MANY.1);
    let plain = query("many", RecordType::A);
    // 12 header, 10 question, 16 for each record.
    let answer = udp(server.address, &plain).await;
    assert_eq!((answer.answers.len(), answer.metadata.truncation), ((512 - 22) / 16, true));
    // A client without TCP must have the best ones.
    let reachable = addresses(&answer).iter().filter(|address| **address < v4(200)).count();
    assert_eq!(reachable, usize::from(MANY.0));

    for (payload, bytes) in [(0, 512), (512, 512), (600, 600), (1_232, 1_232), (4_096, 1_232)] {
        let answer = udp(server.address, &with_edns(plain.clone(), payload)).await;
        let room = (bytes - 22 - 11) / 16;
        assert_eq!(answer.answers.len(), room.min(many), "payload {payload}");
        assert_eq!(answer.metadata.truncation, room < many);
        assert_eq!(answer.edns.expect("an OPT record").max_payload(), 1_232);
    }
    for message in [plain.clone(), with_edns(plain, 512)] {
        let answer = tcp(server.address, &message).await;
        assert_eq!((answer.answers.len(), answer.metadata.truncation), (many, false));
        assert_eq!(answer.edns.is_some(), message.edns.is_some());
    }
}

#[tokio::test]
async fn even_tcp_cuts_at_its_limit() {
    let server = TestServer::start(&[]);
    let crowd: Vec<_> = (0..5_000u32).map(|n| std::net::Ipv4Addr::from(n).into()).collect();
    server.zone.set("crowd", &crowd, &[]);
    let answer = tcp(server.address, &query("crowd", RecordType::A)).await;
    // hickory-proto compresses the first 120 names of a message; the others are written out.
    assert!(answer.metadata.truncation && answer.answers.len() > 3_000);
}

#[tokio::test]
async fn addresses_of_the_containers_networks_have_names_or_none() {
    let upstream = TestUpstream::start(Behaviour::Answer).await;
    let server = TestServer::start(&[upstream.address]);
    for address in [v4(1), v6(1)] {
        let name = Name::from(address).to_ascii();
        let answer = ask(server.address, &name, RecordType::PTR).await;
        let RData::PTR(target) = &answer.answers[0].data else { panic!("{answer}") };
        assert_eq!(target.0.to_ascii(), "four.1.x.Backend.");
        assert_no_data(&ask(server.address, &name, RecordType::TXT).await);
        let absent = Name::from(if address.is_ipv4() { v4(77) } else { v6(77) }).to_ascii();
        let answer = ask(server.address, &absent, RecordType::PTR).await;
        assert_eq!(code(&answer), ResponseCode::NXDomain);
        assert_kept_shortly(&answer);
    }
    assert_eq!(upstream.received(), 0);
    for foreign in ["1.2.3.4.in-addr.arpa", "9.10.in-addr.arpa", "01.0.9.10.in-addr.arpa"] {
        ask(server.address, foreign, RecordType::PTR).await;
    }
    assert_eq!(upstream.received(), 3);
}

#[tokio::test]
async fn classes_other_than_the_internet_are_refused() {
    let upstream = TestUpstream::start(Behaviour::Answer).await;
    let server = TestServer::start(&[upstream.address]);
    let mut any = query("four", RecordType::A);
    any.queries[0].set_query_class(DNSClass::ANY);
    assert_eq!(addresses(&udp(server.address, &any).await), [v4(1)]);
    for class in [DNSClass::CH, DNSClass::HS, DNSClass::NONE] {
        let mut chaos = query("version.bind", RecordType::TXT);
        chaos.queries[0].set_query_class(class);
        assert_eq!(code(&udp(server.address, &chaos).await), ResponseCode::Refused);
    }
    assert_eq!((upstream.received(), server.counts().rejected), (0, 3));
}
