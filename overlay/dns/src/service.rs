//! What all tasks of one container's server share, and what becomes of one query, whatever it came
//! by.

use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::op::ResponseCode;
use rand::Rng;
use rand::rngs::StdRng;

use crate::answer::{Verdict, decide};
use crate::counters::{Counters, Outcome};
use crate::forward::Forward;
use crate::reply::Reply;
use crate::request::{Request, Transport};
use crate::upstream::Upstreams;
use crate::zone::Zone;

/// What all tasks of one server share.
pub(crate) struct Service {
    pub(crate) zone: Arc<dyn Zone>,
    pub(crate) upstreams: Upstreams,
    pub(crate) counters: Arc<Counters>,
    pub(crate) random: Mutex<StdRng>,
}

impl Service {
    /// Decides about a message, and counts it.
    pub(crate) fn decide(&self, message: &[u8], transport: Transport) -> Verdict {
        self.counters.query();
        let verdict = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            decide(message, transport, &*self.zone, &mut *random)
        };
        match verdict {
            Verdict::Forward(request) if self.upstreams.current().is_empty() => {
                nobody_to_ask(&request, transport)
            }
            Verdict::Ignore => {
                self.counters.outcome(Outcome::Rejected);
                Verdict::Ignore
            }
            verdict => verdict,
        }
    }

    /// Asks the upstream servers, and counts what became of it.
    pub(crate) async fn forward(
        &self,
        message: Vec<u8>,
        request: Box<Request>,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let ids = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            std::array::from_fn(|_| random.next_u32() as u16)
        };
        let servers = self.upstreams.current();
        let mut forward = Forward { message, request, transport, ids };
        let answer = forward.run(&servers).await;
        self.counters.outcome(answer.as_ref().map_or(Outcome::Failed, |_| Outcome::Forwarded));
        answer.or_else(|| {
            let failure = Reply::failure(&forward.request, ResponseCode::ServFail);
            failure.encode(forward.request.answer_bytes_max(transport)).ok()
        })
    }
}

/// See [`Upstreams`] for why this is NXDOMAIN.
fn nobody_to_ask(request: &Request, transport: Transport) -> Verdict {
    let reply = Reply::failure(request, ResponseCode::NXDomain).no_name();
    let bytes = reply.encode(request.answer_bytes_max(transport));
    bytes.map_or(Verdict::Ignore, |bytes| Verdict::Reply(bytes, Outcome::Failed))
}
