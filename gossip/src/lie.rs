//! What a member that lies could send: for code that plays one, as the simulator does. An honest node
//! sends none of it.

use crdt_state::{Digest, NodeId, TreePath};

use crate::membership::Packet;
use crate::message::{self, Answer, Entry, Level, Message};
use crate::{Identity, MemberState};

/// One lie.
#[derive(Debug, Clone)]
pub enum Lie {
    /// This member says good-bye, says another one.
    GoodBye(Identity),
    /// This member is in this state, with this incarnation.
    Listed(Identity, u16, MemberState),
    /// A probe by this member, sent by another one.
    InAnotherName(Identity),
    /// The view and the records of the sender have these digests.
    Digests(u64, Digest),
    /// Everything below the root differs.
    Tree(Digest),
}

/// The message with which `from` tells it to `to`.
pub fn encode_lie(from: NodeId, to: Identity, lie: &Lie) -> Vec<u8> {
    let message = match lie {
        Lie::GoodBye(who) => Message::Leaving { from, who: *who },
        Lie::Listed(identity, incarnation, state) => {
            let (identity, incarnation, state) = (*identity, *incarnation, *state);
            let entry = Entry { identity, incarnation, state, addr: None };
            Message::Members { from, entries: vec![entry], answer: Answer::Wanted }
        }
        Lie::InAnotherName(src) => {
            let (src, message) = (*src, foca::Message::Ping(7));
            let header = foca::Header { src, src_incarnation: u16::MAX, dst: to, message };
            message::swim(Packet::new(header, None).encode(), Vec::new())
        }
        Lie::Digests(view, root) => Message::Compare { from, view: *view, root: *root },
        Lie::Tree(digest) => {
            let level = Level { path: TreePath::ROOT, digests: [*digest; 16] };
            Message::Tree { from, levels: vec![level] }
        }
    };
    message.encode()
}
