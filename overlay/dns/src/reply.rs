//! Our own answers, as bytes.
//!
//! What does not fit is cut between two records, and TC is set. `hickory-proto` undoes a record
//! that did not fit, but leaves its bytes behind the message, and leaves no room for the OPT record;
//! therefore the sections are put together here, each by its own encoder.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Header, HeaderCounts, Metadata, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use crate::TTL_SECONDS;
use crate::request::{Request, UDP_BYTES_MAX};

/// The size of an OPT record without options: root, type, class, time to live, length.
const OPT_BYTES: u16 = 11;

/// An answer to a proper query.
pub(crate) struct Reply<'a> {
    request: &'a Request,
    header: Metadata,
    answers: Vec<Record>,
    authority: Option<Record>,
}

impl<'a> Reply<'a> {
    /// An answer that we give as the authority.
    pub(crate) fn own(request: &'a Request) -> Reply<'a> {
        let mut reply = Reply::failure(request, ResponseCode::NoError);
        reply.header.authoritative = true;
        reply
    }

    /// An answer with a code and no records.
    pub(crate) fn failure(request: &'a Request, code: ResponseCode) -> Reply<'a> {
        let header = answer_to(&request.header, code);
        Reply { request, header, answers: Vec::new(), authority: None }
    }

    /// An answer without records that sends the client to TCP.
    pub(crate) fn truncated(request: &'a Request) -> Reply<'a> {
        let mut reply = Reply::failure(request, ResponseCode::NoError);
        reply.header.truncation = true;
        reply
    }

    /// Adds a record about the name in the question, spelled as asked.
    pub(crate) fn add(&mut self, data: RData) {
        let name = self.request.question.name().clone();
        self.answers.push(Record::from_rdata(name, TTL_SECONDS, data));
    }

    /// Nothing of this type. If there is no record, says how long that may be kept.
    pub(crate) fn or_no_data(mut self) -> Reply<'a> {
        if self.answers.is_empty() {
            self.authority = Some(start_of(self.request.question.name().clone()));
        }
        self
    }

    /// No such name, and how long that may be kept.
    pub(crate) fn no_name(mut self) -> Reply<'a> {
        self.header.response_code = ResponseCode::NXDomain;
        self.authority = Some(start_of(self.request.question.name().base_name()));
        self
    }

    /// The message, of at most so many bytes.
    pub(crate) fn encode(&self, bytes_max: u16) -> Result<Vec<u8>, ProtoError> {
        let mut bytes = Vec::with_capacity(usize::from(UDP_BYTES_MAX.min(bytes_max)));
        let mut encoder = BinEncoder::new(&mut bytes);
        let edns = self.request.edns.as_ref().map(|asked| self.edns(asked));
        let reserved = edns.as_ref().map_or(0, |_| OPT_BYTES);
        encoder.set_max_size(bytes_max - reserved);

        let place = encoder.place::<Header>()?;
        self.request.question.emit(&mut encoder)?;
        let answers = emit(&mut encoder, &self.answers)?;
        let authorities = match answers.cut {
            Cut::No => emit(&mut encoder, self.authority.as_slice())?,
            Cut::Yes => Emitted { count: 0, cut: Cut::Yes },
        };
        encoder.set_max_size(bytes_max);
        if let Some(edns) = &edns {
            edns.emit(&mut encoder)?;
        }

        let mut header = self.header;
        header.truncation |= authorities.cut == Cut::Yes;
        let counts = HeaderCounts {
            queries: 1,
            answers: answers.count,
            authorities: authorities.count,
            additionals: u16::from(edns.is_some()),
        };
        place.replace(&mut encoder, Header { metadata: header, counts })?;
        Ok(bytes)
    }

    /// The OPT record: a client that sends one gets one.
    fn edns(&self, asked: &Edns) -> Edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX);
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        edns.set_rcode_high(self.header.response_code.high());
        edns
    }
}

/// The answer to a message that is no proper query: a header, without a question.
pub(crate) fn refusal(asked: &Metadata, code: ResponseCode) -> Result<Vec<u8>, ProtoError> {
    let metadata = answer_to(asked, code);
    let mut bytes = Vec::new();
    Header { metadata, counts: HeaderCounts::default() }.emit(&mut BinEncoder::new(&mut bytes))?;
    Ok(bytes)
}

fn answer_to(asked: &Metadata, code: ResponseCode) -> Metadata {
    let mut header = Metadata::response_from_request(asked);
    header.recursion_available = true;
    header.response_code = code;
    header
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    No,
    Yes,
}

struct Emitted {
    count: u16,
    cut: Cut,
}

/// Encodes records while they fit.
fn emit(encoder: &mut BinEncoder<'_>, records: &[Record]) -> Result<Emitted, ProtoError> {
    let (count, cut) = match encoder.emit_all(records.iter()) {
        Ok(count) => (count, Cut::No),
        Err(ProtoError::NotAllRecordsWritten { count, .. }) => {
            // The bytes of the record that did not fit are still there.
            encoder.trim();
            (count, Cut::Yes)
        }
        Err(error) => return Err(error),
    };
    // A record has more than ten bytes and a message at most 65,535.
    let count = u16::try_from(count).expect("fewer records than bytes");
    Ok(Emitted { count, cut })
}

/// The SOA record in an answer without records: its minimum bounds how long a client believes
/// that there is nothing (RFC 2308, 5).
fn start_of(zone: Name) -> Record {
    let seconds = TTL_SECONDS as i32;
    let soa = SOA::new(Name::root(), Name::root(), 1, seconds, seconds, seconds, TTL_SECONDS);
    Record::from_rdata(zone, TTL_SECONDS, RData::SOA(soa))
}
