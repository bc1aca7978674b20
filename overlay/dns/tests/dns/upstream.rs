//! An upstream server that behaves as told, over UDP and TCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use overlay_dns::Sockets;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::server::sockets;

/// What an upstream server does with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// 192.0.2.1 and 2001:db8::1 for every name but those that begin with `missing`.
    Answer,
    /// The same, after this time.
    Late(Duration),
    /// Nothing.
    Silent,
    /// A code and no records.
    Code(ResponseCode),
    /// A code, no records and no question.
    BareCode(ResponseCode),
    /// Answers that are not to be believed: another id, another name, no response, junk.
    Lies,
    /// The same before the right answer.
    LiesFirst,
    /// An answer of more bytes than the client takes.
    Huge,
    /// Nothing but TC over UDP.
    Truncated,
}

pub struct TestUpstream {
    pub address: SocketAddr,
    received: Arc<AtomicUsize>,
    last: Arc<Mutex<Vec<u8>>>,
    _tasks: JoinSet<()>,
}

impl TestUpstream {
    pub async fn start(behaviour: Behaviour) -> TestUpstream {
        TestUpstream::start_on(sockets(), behaviour)
    }

    /// The same on sockets from elsewhere.
    pub fn start_on(sockets: Sockets, behaviour: Behaviour) -> TestUpstream {
        let address = sockets.udp.local_addr().expect("bound");
        sockets.udp.set_nonblocking(true).expect("set");
        sockets.tcp.set_nonblocking(true).expect("set");
        let udp = UdpSocket::from_std(sockets.udp).expect("registered");
        let tcp = TcpListener::from_std(sockets.tcp).expect("registered");
        let (received, last) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let mut tasks = JoinSet::new();
        let note = {
            let (received, last) = (received.clone(), last.clone());
            move |query: &[u8]| {
                received.fetch_add(1, Ordering::Relaxed);
                *last.lock().expect("no test panicked") = query.to_vec();
            }
        };
        tasks.spawn(serve_udp(udp, behaviour, note.clone()));
        tasks.spawn(serve_tcp(tcp, behaviour, note));
        TestUpstream { address, received, last, _tasks: tasks }
    }

    /// How many queries have come in.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    /// The last query, as it came in.
    pub fn last(&self) -> Vec<u8> {
        self.last.lock().expect("no test panicked").clone()
    }
}

async fn serve_udp(socket: UdpSocket, behaviour: Behaviour, note: impl Fn(&[u8])) {
    let mut buffer = [0; 65_535];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        note(&buffer[..length]);
        if let Behaviour::Late(time) = behaviour {
            tokio::time::sleep(time).await;
        }
        for answer in answers(&buffer[..length], behaviour) {
            socket.send_to(&answer, client).await.expect("sent");
        }
    }
}

async fn serve_tcp(listener: TcpListener, behaviour: Behaviour, note: impl Fn(&[u8])) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Ok(length) = stream.read_u16().await else { continue };
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await.expect("a whole query");
        note(&query);
        let behaviour = match behaviour {
            Behaviour::Truncated => Behaviour::Huge,
            other => other,
        };
        for answer in answers(&query, behaviour) {
            stream.write_u16(answer.len() as u16).await.expect("written");
            stream.write_all(&answer).await.expect("written");
        }
    }
}

fn answers(query: &[u8], behaviour: Behaviour) -> Vec<Vec<u8>> {
    let query = Message::from_vec(query).expect("a query");
    let right = answer(&query, if behaviour == Behaviour::Huge { 300 } else { 1 });
    let encode = |message: &Message| message.to_vec().expect("encoded");
    match behaviour {
        Behaviour::Answer | Behaviour::Late(_) | Behaviour::Huge => vec![encode(&right)],
        Behaviour::Silent => Vec::new(),
        Behaviour::Code(code) => vec![encode(&with_code(&right, code))],
        Behaviour::BareCode(code) => {
            let mut bare = with_code(&right, code);
            bare.queries.clear();
            vec![encode(&bare)]
        }
        Behaviour::Lies => lies(&right),
        Behaviour::LiesFirst => {
            let mut all = lies(&right);
            all.push(encode(&right));
            all
        }
        Behaviour::Truncated => {
            let mut cut = with_code(&right, ResponseCode::NoError);
            cut.metadata.truncation = true;
            vec![encode(&cut)]
        }
    }
}

fn answer(query: &Message, copies: u32) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.queries = query.queries.clone();
    let name = query.queries[0].name().clone();
    if name.to_ascii().starts_with("missing") {
        answer.metadata.response_code = ResponseCode::NXDomain;
        return answer;
    }
    for n in 0..copies {
        let data = match query.queries[0].query_type() {
            RecordType::A => RData::A(A((u32::from(Ipv4Addr::new(192, 0, 2, 1)) + n).into())),
            RecordType::AAAA => RData::AAAA(AAAA("2001:db8::1".parse().expect("an address"))),
            _ => break,
        };
        answer.add_answer(Record::from_rdata(name.clone(), 60, data));
    }
    if query.edns.is_some() {
        answer.set_edns(Edns::new());
    }
    answer
}

fn with_code(right: &Message, code: ResponseCode) -> Message {
    let mut message = right.clone();
    message.answers.clear();
    message.metadata.response_code = code;
    message
}

fn lies(right: &Message) -> Vec<Vec<u8>> {
    let mut other_id = right.clone();
    other_id.metadata.id = right.metadata.id.wrapping_add(1);
    let mut other_name = right.clone();
    let name = Name::from_ascii("bank.example.").expect("a name");
    other_name.queries = vec![Query::query(name, right.queries[0].query_type())];
    let mut no_question = right.clone();
    no_question.queries.clear();
    let mut no_response = right.clone();
    no_response.metadata.message_type = MessageType::Query;
    let mut all: Vec<Vec<u8>> = [other_id, other_name, no_question, no_response]
        .iter()
        .map(|message| message.to_vec().expect("encoded"))
        .collect();
    all.push(vec![0xff; 7]);
    all.push(Vec::new());
    all
}
