//! A client that takes no malformed message: every byte of an answer must belong to it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Longer than all attempts of the server together.
pub const DEADLINE: Duration = Duration::from_secs(6);

pub fn query(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(0x4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    message.add_query(Query::query(name, record_type));
    message
}

pub fn with_edns(mut message: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message
}

/// A raw UDP exchange; `None`: no answer within so long.
pub async fn exchange(server: SocketAddr, bytes: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    socket.connect(server).await.expect("connected");
    socket.send(bytes).await.expect("sent");
    let mut buffer = vec![0; 65_535];
    let length = timeout(wait, socket.recv(&mut buffer)).await.ok()?.expect("received");
    buffer.truncate(length);
    Some(buffer)
}

pub async fn udp(server: SocketAddr, message: &Message) -> Message {
    let bytes = message.to_vec().expect("encoded");
    let answer = exchange(server, &bytes, DEADLINE).await.expect("an answer over UDP");
    checked(message, &answer)
}

pub async fn tcp(server: SocketAddr, message: &Message) -> Message {
    let mut stream = TcpStream::connect(server).await.expect("connected");
    let answer = timeout(DEADLINE, on_stream(&mut stream, message)).await.expect("in time");
    checked(message, &answer)
}

/// One more query on a connection.
pub async fn on_stream(stream: &mut TcpStream, message: &Message) -> Vec<u8> {
    let bytes = message.to_vec().expect("encoded");
    stream.write_u16(bytes.len() as u16).await.expect("written");
    stream.write_all(&bytes).await.expect("written");
    let length = stream.read_u16().await.expect("an answer over TCP");
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.expect("the whole answer");
    answer
}

/// Shorthand: asks over UDP.
pub async fn ask(server: SocketAddr, name: &str, record_type: RecordType) -> Message {
    udp(server, &query(name, record_type)).await
}

fn checked(asked: &Message, answer: &[u8]) -> Message {
    let mut decoder = BinDecoder::new(answer);
    let answer = Message::read(&mut decoder).expect("a well-formed message");
    assert!(decoder.is_empty(), "{} bytes behind the message", decoder.len());
    assert_eq!(answer.metadata.id, asked.metadata.id);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert_eq!(answer.metadata.recursion_desired, asked.metadata.recursion_desired);
    if !answer.queries.is_empty() {
        let (asked, echoed) = (&asked.queries[0], &answer.queries[0]);
        assert_eq!(echoed, asked);
        assert!(echoed.name().eq_case(asked.name()), "the case of the question");
    }
    answer
}

pub fn code(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

/// The addresses of an answer, in its order.
pub fn addresses(message: &Message) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(a) => IpAddr::V4(a.0),
        RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
        other => panic!("{other} is not an address"),
    };
    message.answers.iter().map(|record| address(&record.data)).collect()
}

/// Is it an answer without records about a name that exists, and may only be kept for a short time?
pub fn assert_no_data(message: &Message) {
    assert_eq!(code(message), ResponseCode::NoError, "{message}");
    assert!(message.answers.is_empty(), "{message}");
    assert_kept_shortly(message);
}

/// Is there an SOA record that bounds how long the absence may be kept?
pub fn assert_kept_shortly(message: &Message) {
    let [record] = &message.authorities[..] else { panic!("no SOA: {message}") };
    let RData::SOA(soa) = &record.data else { panic!("no SOA: {message}") };
    assert!(record.ttl <= 5 && soa.minimum <= 5, "{message}");
    assert!(record.name.zone_of(message.queries[0].name()), "{message}");
}
