//! Asks the upstream servers.
//!
//! A query goes out byte for byte as it came, with an id of our own, and so does the answer on its
//! way back, but for one: that a name of one label does not exist is said in our own words. Each UDP query has a socket of its own, connected and on a random port: an answer must
//! come from the server, to that port, with the id and the question.

use std::io;
use std::time::Duration;

use hickory_proto::op::{Header, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::framing::{framed, read_message};
use crate::reply::Reply;
use crate::request::{Request, Transport};
use crate::upstream::Upstream;

/// How often servers are asked for one query, and so how many servers of a list are used. With
/// fewer servers, those that stayed silent are asked again: a datagram may be lost.
const ATTEMPTS: usize = 3;

/// How long one server may take. All attempts together must end before the five seconds after
/// which a libc gives up, so that it gets an answer, and slow servers are asked twice before that.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The largest UDP answer that is taken from a server, in bytes, whatever the client offers: 4,096
/// is the most that resolvers send. What is larger is cut, and the client comes again by TCP.
const DATAGRAM_BYTES_MAX: u16 = 4_096;

/// A query on its way to the upstream servers.
pub(crate) struct Forward {
    pub(crate) message: Vec<u8>,
    pub(crate) request: Box<Request>,
    pub(crate) transport: Transport,
    /// The ids of the attempts.
    pub(crate) ids: [u16; ATTEMPTS],
}

impl Forward {
    /// The answer for the client, or `None` if no server has a usable one.
    pub(crate) async fn run(&mut self, servers: &[Upstream]) -> Option<Vec<u8>> {
        let servers = &servers[..servers.len().min(ATTEMPTS)];
        // A server that has refused or is not there will not change its mind within seconds.
        let mut done = [false; ATTEMPTS];
        for attempt in 0..ATTEMPTS {
            let index = attempt % servers.len().max(1);
            let server = servers.get(index)?;
            if done[index] {
                continue;
            }
            set_id(&mut self.message, self.ids[attempt]);
            match timeout(ATTEMPT_TIMEOUT, self.ask(server)).await {
                Ok(Ok(Answered::Final(mut answer))) => {
                    set_id(&mut answer, self.request.header.id);
                    return Some(answer);
                }
                Ok(Ok(Answered::NoSuchService)) => {
                    let reply = Reply::failure(&self.request, ResponseCode::NXDomain).no_name();
                    return reply.encode(self.request.answer_bytes_max(self.transport)).ok();
                }
                Ok(Ok(Answered::Unable) | Err(_)) => done[index] = true,
                Err(_silence) => {}
            }
        }
        None
    }

    async fn ask(&self, server: &Upstream) -> io::Result<Answered> {
        match self.transport {
            Transport::Udp => self.ask_udp(server).await,
            Transport::Tcp => self.ask_tcp(server).await,
        }
    }

    async fn ask_udp(&self, server: &Upstream) -> io::Result<Answered> {
        let socket = server.dialer.udp(server.address)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        socket.connect(server.address).await?;
        socket.send(&self.message).await?;
        let bytes_max = self.request.client_bytes_max(Transport::Udp).min(DATAGRAM_BYTES_MAX);
        // One more, so that a larger answer is seen to be larger.
        let mut buffer = vec![0; usize::from(bytes_max) + 1];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let Some(answered) = self.judge(&buffer[..length]) else { continue };
            return Ok(match answered {
                Answered::Final(_) if length == buffer.len() => Answered::Final(self.cut()?),
                answered => answered,
            });
        }
    }

    async fn ask_tcp(&self, server: &Upstream) -> io::Result<Answered> {
        let mut stream = server.dialer.tcp(server.address)?.connect(server.address).await?;
        stream.write_all(&framed(&self.message)).await?;
        let answer = read_message(&mut stream).await?;
        self.judge(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// What an answer means; `None`: it is not the answer to this query.
    fn judge(&self, answer: &[u8]) -> Option<Answered> {
        let mut decoder = BinDecoder::new(answer);
        let Header { metadata, counts } = Header::read(&mut decoder).ok()?;
        let sent = BinDecoder::new(&self.message).read_u16().ok()?.unverified();
        if metadata.message_type != MessageType::Response
            || metadata.op_code != OpCode::Query
            || metadata.id != sent
        {
            return None;
        }
        match counts.queries {
            // Without a question, only a code that says nothing about the name is believed.
            0 => match metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => return None,
                _ => {}
            },
            1 if Query::read(&mut decoder).ok()? == self.request.question => {}
            _ => return None,
        }
        Some(match metadata.response_code {
            ResponseCode::ServFail | ResponseCode::Refused => Answered::Unable,
            ResponseCode::NXDomain if self.request.question.name().num_labels() == 1 => {
                Answered::NoSuchService
            }
            _ => Answered::Final(answer.to_vec()),
        })
    }

    fn cut(&self) -> io::Result<Vec<u8>> {
        let reply = Reply::truncated(&self.request);
        reply.encode(self.request.answer_bytes_max(Transport::Udp)).map_err(io::Error::other)
    }
}

enum Answered {
    /// This is the answer.
    Final(Vec<u8>),
    /// There is no such name, which has one label: it may be a service that is created in a moment.
    /// The root servers let this be kept for a day; a cache in the container must not.
    NoSuchService,
    /// The server cannot answer; another one may.
    Unable,
}

/// Writes an id into a message that is otherwise kept as it is.
fn set_id(message: &mut [u8], id: u16) {
    if let Some(first) = message.first_chunk_mut() {
        *first = id.to_be_bytes();
    }
}
