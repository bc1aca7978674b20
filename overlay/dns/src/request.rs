//! A query from a container, decoded as far as it concerns us.
//!
//! Anything may come in here; nothing may panic. What is no query at all stays without an answer,
//! as an answer to an answer would start a loop.

use hickory_proto::op::{
    Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

/// The largest UDP answer, in bytes: what passes every path unfragmented (DNS flag day 2020). It
/// also is what we ask for in our own OPT records.
pub(crate) const UDP_BYTES_MAX: u16 = 1_232;

/// The largest UDP answer to a client that does not say what it takes (RFC 1035, 4.2.1).
pub(crate) const UDP_BYTES_PLAIN: u16 = 512;

/// How a query came in, and so how it is forwarded and how large its answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// A proper query.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) header: Metadata,
    pub(crate) question: Query,
    pub(crate) edns: Option<Edns>,
}

/// Why a message is no proper query.
#[derive(Debug)]
pub(crate) enum Junk {
    /// Not to be answered.
    Silent,
    /// To be answered by a header with this code.
    Refuse(Metadata, ResponseCode),
}

impl Request {
    pub(crate) fn decode(message: &[u8]) -> Result<Request, Junk> {
        let mut decoder = BinDecoder::new(message);
        let Ok(Header { metadata, counts }) = Header::read(&mut decoder) else {
            return Err(Junk::Silent);
        };
        if metadata.message_type == MessageType::Response {
            return Err(Junk::Silent);
        }
        // Before anything else is read: the sections of other operations mean something else.
        if metadata.op_code != OpCode::Query {
            return Err(Junk::Refuse(metadata, ResponseCode::NotImp));
        }
        if counts.queries != 1 {
            return Err(Junk::Refuse(metadata, ResponseCode::FormErr));
        }
        let mut rest = || -> Result<Request, DecodeError> {
            let question = Query::read(&mut decoder)?;
            let mut edns = None;
            for (count, additional) in
                [(counts.answers, false), (counts.authorities, false), (counts.additionals, true)]
            {
                let count = usize::from(count);
                let records =
                    Message::read_records(&mut decoder, count, additional, OpCode::Query)?;
                edns = records.1.or(edns);
            }
            Ok(Request { header: metadata, question, edns })
        };
        rest().map_err(|_| Junk::Refuse(metadata, ResponseCode::FormErr))
    }

    /// The largest answer that this client takes, as it says itself, in bytes.
    pub(crate) fn client_bytes_max(&self, transport: Transport) -> u16 {
        match transport {
            Transport::Tcp => u16::MAX,
            Transport::Udp => self
                .edns
                .as_ref()
                .map_or(UDP_BYTES_PLAIN, |edns| edns.max_payload().max(UDP_BYTES_PLAIN)),
        }
    }

    /// The largest answer that we make for this client, in bytes.
    pub(crate) fn answer_bytes_max(&self, transport: Transport) -> u16 {
        match transport {
            Transport::Tcp => u16::MAX,
            Transport::Udp => self.client_bytes_max(transport).min(UDP_BYTES_MAX),
        }
    }

    /// Is this a query that a resolver never answers, whatever the name?
    pub(crate) fn refusal(&self) -> Option<ResponseCode> {
        if self.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return Some(ResponseCode::BADVERS);
        }
        match (self.question.query_class(), self.question.query_type()) {
            // A transfer is a stream of messages, and what it transfers is a zone; we have none.
            (_, RecordType::AXFR | RecordType::IXFR) => Some(ResponseCode::Refused),
            // Some programs ask with class ANY and mean the Internet.
            (DNSClass::IN | DNSClass::ANY, _) => None,
            // CHAOS asks about the server itself (`version.bind`): nobody's business.
            _ => Some(ResponseCode::Refused),
        }
    }
}
