//! A member that lies: what it sends is sealed with its own key, so that everybody knows who says it.
//! Its agent goes on as before. It lies about others, and about itself and its records.

use crdt_state::Digest;
use gossip::lie::{Lie, encode_lie};
use gossip::{Identity, MemberState};
use node_core::Input;

use super::{Fact, World, WorldEvent};
use crate::network::MachineNo;
use crate::sim_node::node_id;
use crate::sometimes::Event;

/// How far the generation that is told is ahead: none, a renewal, a start, and further than any node
/// could follow.
const AHEAD: [u64; 5] = [0, 1, 1 << 20, 1 << 63, u64::MAX];

impl World {
    pub(super) fn tell_lies(&mut self, to: MachineNo, count: u64) {
        let identity = |world: &World, no: MachineNo| {
            world.machines[no].agent.as_ref().map(|agent| agent.node.identity())
        };
        let Some(hearer) = identity(self, to) else { return };
        let liar = (to + 1 + self.dice.index(self.machines.len() - 1)) % self.machines.len();
        let from = node_id(self.machines[liar].seed);
        for _ in 0..count {
            let about = self.dice.index(self.machines.len());
            let Some(who) = identity(self, about) else { continue };
            self.watch.sometimes.saw_times(Event::LieTold, u64::from(about != liar));
            let lie = self.lie(who);
            let bytes = encode_lie(from, hearer, &lie);
            let input = match self.dice.below(2) {
                0 => Input::Datagram { sender: from, from: self.machines[liar].address(), bytes },
                _ => Input::Message { from, bytes },
            };
            let fact = Fact::Input(input);
            self.queue.put(self.at, WorldEvent::Agent { machine: to, life: 0, fact });
        }
    }

    fn lie(&mut self, who: Identity) -> Lie {
        let ahead = *self.dice.pick(&AHEAD);
        let who = Identity { generation: who.generation.saturating_add(ahead), ..who };
        let digest = Digest([self.dice.below(256) as u8; 16]);
        match self.dice.below(6) {
            0 => Lie::GoodBye(who),
            1 => Lie::InAnotherName(who),
            2 => Lie::Digests(self.dice.below(u64::MAX), digest),
            3 => Lie::Tree(digest),
            _ => {
                let states = [MemberState::Alive, MemberState::Unreachable, MemberState::Left];
                Lie::Listed(who, *self.dice.pick(&[0, 1, u16::MAX]), *self.dice.pick(&states))
            }
        }
    }
}
