//! All other names.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;

use crate::client::{
    DEADLINE, addresses, ask, assert_kept_shortly, code, exchange, query, tcp, udp, with_edns,
};
use crate::server::{TestServer, sockets};
use crate::upstream::{Behaviour, TestUpstream};

async fn upstreams(behaviours: &[Behaviour]) -> (Vec<TestUpstream>, Vec<SocketAddr>) {
    let mut all = Vec::new();
    for behaviour in behaviours {
        all.push(TestUpstream::start(*behaviour).await);
    }
    let addresses = all.iter().map(|upstream| upstream.address).collect();
    (all, addresses)
}

#[tokio::test]
async fn other_names_are_asked_upstream_single_labels_too() {
    let upstream = TestUpstream::start(Behaviour::Answer).await;
    let server = TestServer::start(&[upstream.address]);
    for name in ["example.org", "db", ".", "a.b.c.d.e.f", "four.Elsewhere"] {
        let answer = ask(server.address, name, RecordType::A).await;
        assert_eq!(addresses(&answer), ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
        let answer = tcp(server.address, &query(name, RecordType::AAAA)).await;
        assert_eq!(answer.answers.len(), 1);
    }
    assert_eq!((upstream.received(), server.counts().forwarded), (10, 10));
}

/// Flags, EDNS options and the case of the name reach the server; only the id is ours.
#[tokio::test]
async fn a_query_goes_out_as_it_came() {
    let upstream = TestUpstream::start(Behaviour::Answer).await;
    let server = TestServer::start(&[upstream.address]);
    let mut message = with_edns(query("ExAmPle.org", RecordType::A), 1_400);
    message.metadata.checking_disabled = true;
    message.metadata.authentic_data = true;
    let edns = message.edns.as_mut().expect("set");
    edns.set_dnssec_ok(true);
    edns.options_mut().insert(EdnsOption::Unknown(10, vec![1, 2, 3, 4, 5, 6, 7, 8]));
    let bytes = message.to_vec().expect("encoded");
    let mut ids = Vec::new();
    for _ in 0..4 {
        let answer = exchange(server.address, &bytes, DEADLINE).await.expect("an answer");
        assert_eq!(answer[..2], bytes[..2]);
        assert_eq!(upstream.last()[2..], bytes[2..]);
        ids.push(upstream.last()[..2].to_vec());
    }
    ids.sort();
    ids.dedup();
    assert!(ids.len() > 1, "the ids are random: {ids:?}");
}

#[tokio::test]
async fn the_next_server_is_asked_after_a_failure_but_not_after_a_missing_name() {
    for failure in [
        Behaviour::Code(ResponseCode::ServFail),
        Behaviour::Code(ResponseCode::Refused),
        Behaviour::BareCode(ResponseCode::ServFail),
        Behaviour::Silent,
        Behaviour::Lies,
    ] {
        let (all, list) = upstreams(&[failure, Behaviour::Answer]).await;
        let server = TestServer::start(&list);
        let answer = ask(server.address, "example.org", RecordType::A).await;
        assert_eq!(answer.answers.len(), 1, "after {failure:?}");
        let (missing, started) = (query("missing.example", RecordType::A), Instant::now());
        assert_eq!(code(&udp(server.address, &missing).await), ResponseCode::NXDomain);
        let silent = matches!(failure, Behaviour::Silent | Behaviour::Lies);
        assert_eq!(started.elapsed() > Duration::from_secs(1), silent);
        assert_eq!(all[0].received(), 2);

        let server = TestServer::start(&[list[1], list[0]]);
        assert_eq!(code(&udp(server.address, &missing).await), ResponseCode::NXDomain);
        assert_eq!(all[0].received(), 2);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_no_time() {
    let gone = sockets().udp.local_addr().expect("bound");
    let (_all, list) = upstreams(&[Behaviour::Answer]).await;
    let server = TestServer::start(&[gone, list[0]]);
    let started = Instant::now();
    assert_eq!(ask(server.address, "example.org", RecordType::A).await.answers.len(), 1);
    let answer = tcp(server.address, &query("example.org", RecordType::A)).await;
    assert_eq!(answer.answers.len(), 1);
    assert!(started.elapsed() < Duration::from_millis(1_400));
}

#[tokio::test]
async fn three_servers_are_asked_and_then_the_client_gets_servfail_in_time() {
    let silent = [Behaviour::Silent; 4];
    let (all, list) = upstreams(&silent).await;
    let server = TestServer::start(&list);
    let started = Instant::now();
    let answer = ask(server.address, "example.org", RecordType::A).await;
    assert_eq!(code(&answer), ResponseCode::ServFail);
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_secs(4) && elapsed < Duration::from_secs(5), "{elapsed:?}");
    let received: Vec<usize> = all.iter().map(TestUpstream::received).collect();
    assert_eq!(received, [1, 1, 1, 0]);

    let (all, list) = upstreams(&[Behaviour::Code(ResponseCode::ServFail); 4]).await;
    let server = TestServer::start(&list);
    assert_eq!(code(&ask(server.address, "db", RecordType::A).await), ResponseCode::ServFail);
    let received: Vec<usize> = all.iter().map(TestUpstream::received).collect();
    assert_eq!((received, server.counts().failed), (vec![1, 1, 1, 0], 1));
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again_to_an_only_server() {
    let upstream = TestUpstream::start(Behaviour::Late(Duration::from_millis(1_700))).await;
    let server = TestServer::start(&[upstream.address]);
    let answer = ask(server.address, "example.org", RecordType::A).await;
    assert_eq!(code(&answer), ResponseCode::ServFail);
    assert_eq!(upstream.received(), 3);
}

#[tokio::test]
async fn lies_are_ignored_until_the_answer_comes() {
    let upstream = TestUpstream::start(Behaviour::LiesFirst).await;
    let server = TestServer::start(&[upstream.address]);
    let started = Instant::now();
    let answer = ask(server.address, "example.org", RecordType::A).await;
    assert_eq!(addresses(&answer).len(), 1);
    assert!(started.elapsed() < Duration::from_millis(1_400));
}

/// A client that hears FORMERR or NOTIMP may do without EDNS; the next server would say the same.
#[tokio::test]
async fn other_codes_reach_the_client() {
    for failure in [ResponseCode::FormErr, ResponseCode::NotImp] {
        let (all, list) = upstreams(&[Behaviour::BareCode(failure), Behaviour::Answer]).await;
        let server = TestServer::start(&list);
        assert_eq!(code(&ask(server.address, "example.org", RecordType::A).await), failure);
        assert_eq!(all[1].received(), 0);
    }
}

#[tokio::test]
async fn a_large_answer_comes_by_tcp() {
    for behaviour in [Behaviour::Truncated, Behaviour::Huge] {
        let upstream = TestUpstream::start(behaviour).await;
        let server = TestServer::start(&[upstream.address]);
        for message in [
            query("example.org", RecordType::A),
            with_edns(query("example.org", RecordType::A), 4_096),
        ] {
            let answer = udp(server.address, &message).await;
            assert!(answer.metadata.truncation && answer.answers.is_empty());
            let answer = tcp(server.address, &message).await;
            assert_eq!(answer.answers.len(), 300);
        }
    }
}

/// Internal networks only: the answer that ends the wait of every client (N7).
#[tokio::test]
async fn without_servers_other_names_do_not_exist() {
    let server = TestServer::start(&[]);
    let started = Instant::now();
    for message in [query("db", RecordType::A), query("example.org", RecordType::AAAA)] {
        for answer in [udp(server.address, &message).await, tcp(server.address, &message).await] {
            assert_eq!(code(&answer), ResponseCode::NXDomain);
            assert_kept_shortly(&answer);
        }
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(server.counts().failed, 4);
}

#[tokio::test]
async fn a_new_list_of_servers_counts_from_the_next_query_on() {
    let (all, list) = upstreams(&[Behaviour::Answer, Behaviour::Answer]).await;
    let server = TestServer::start(&[]);
    let asked = query("example.org", RecordType::A);
    for (index, address) in list.into_iter().enumerate() {
        server.upstreams.replace(vec![overlay_dns::Upstream::from_host(address)]);
        assert_eq!(udp(server.address, &asked).await.answers.len(), 1);
        assert_eq!(all[index].received(), 1);
    }
    server.upstreams.replace(Vec::new());
    assert_eq!(code(&udp(server.address, &asked).await), ResponseCode::NXDomain);
}

/// A cache in the container must not keep for a day that a service does not exist.
#[tokio::test]
async fn the_absence_of_a_single_label_may_only_be_kept_for_a_short_time() {
    let upstream = TestUpstream::start(Behaviour::Answer).await;
    let server = TestServer::start(&[upstream.address]);
    let missing = with_edns(query("missing", RecordType::A), 1_232);
    for answer in [udp(server.address, &missing).await, tcp(server.address, &missing).await] {
        assert_eq!(code(&answer), ResponseCode::NXDomain);
        assert_kept_shortly(&answer);
    }
    assert_eq!((upstream.received(), server.counts().forwarded), (2, 2));
    let dotted = ask(server.address, "missing.example", RecordType::A).await;
    assert_eq!(dotted.authorities.len(), 0, "as it came");
}
