//! First choices: where the slots of a service would go if no node held any.
//!
//! They are assigned in rounds, one to each node, and with preferences one to each group, so that
//! every prefix is balanced, and so is a service that is scaled down. Holders are never looked at.

use crdt_state::NodeId;
use crdt_state::task::Slot;

use crate::groups::{Groups, Member};
use crate::score::{self, Part};
use crate::view::ServiceView;

/// The first choices of slots 1 to `last`, as places in `nodes`.
pub fn first_choices(
    service: &ServiceView,
    nodes: &[NodeId],
    groups: &Groups<'_>,
    capacities: &[u32],
    last: u32,
) -> Vec<Option<usize>> {
    let mut rounds = Rounds {
        service: score::service_part(service.id),
        parts: nodes.iter().map(|id| score::node_part(*id)).collect(),
        groups,
        members: groups.members(),
        of_nodes: capacities.iter().map(|left| Tally { count: 0, left: *left }).collect(),
        of_groups: groups
            .sums(capacities)
            .iter()
            .map(|left| Tally { count: 0, left: *left })
            .collect(),
        lowest: vec![Vec::new(); groups.len()],
    };
    (1..=last).map(|number| rounds.next(Slot::Number(number))).collect()
}

/// What a node or a group has, and can still take.
#[derive(Debug, Clone, Copy)]
struct Tally {
    count: u32,
    left: u32,
}

impl Tally {
    fn take(&mut self) {
        self.count += 1;
        self.left -= 1;
    }
}

struct Rounds<'a> {
    service: Part,
    parts: Vec<Part>,
    groups: &'a Groups<'a>,
    members: Vec<Vec<Member>>,
    of_nodes: Vec<Tally>,
    of_groups: Vec<Tally>,
    /// Per group its members with the fewest slots, which have none of the present round.
    lowest: Vec<Vec<Member>>,
}

impl Rounds<'_> {
    /// The node with the highest score among those with the fewest slots, in the groups with the
    /// fewest.
    fn next(&mut self, slot: Slot) -> Option<usize> {
        let (_, node) = self.best_in(0, score::slot_part(slot))?;
        self.of_nodes[node].take();
        let mut taker = Member::Node(node);
        let groups: &Groups<'_> = self.groups;
        for group in groups.outwards(groups.of_node(node)) {
            let lowest = &mut self.lowest[group];
            let at = lowest.iter().position(|member| *member == taker).expect("it was the lowest");
            lowest.swap_remove(at);
            self.of_groups[group].take();
            taker = Member::Group(group);
        }
        Some(node)
    }

    /// The highest score in a group, and its node.
    fn best_in(&mut self, group: usize, slot: Part) -> Option<(u64, usize)> {
        if self.of_groups[group].left == 0 {
            return None;
        }
        // Whoever is chosen is taken out, so all that are left have room.
        if self.lowest[group].is_empty() {
            let has_room = |member: &Member| self.tally(*member).left > 0;
            let room = || self.members[group].iter().copied().filter(has_room);
            let least = room().map(|member| self.tally(member).count).min();
            let lowest = room().filter(|member| Some(self.tally(*member).count) == least);
            self.lowest[group] = lowest.collect();
        }
        let mut best: Option<(u64, usize)> = None;
        for at in 0..self.lowest[group].len() {
            let found = match self.lowest[group][at] {
                Member::Node(node) => (score::score(self.service, slot, self.parts[node]), node),
                Member::Group(inner) => self.best_in(inner, slot).expect("it has room"),
            };
            if best.is_none_or(|best| best < found) {
                best = Some(found);
            }
        }
        best
    }

    fn tally(&self, member: Member) -> Tally {
        match member {
            Member::Group(group) => self.of_groups[group],
            Member::Node(node) => self.of_nodes[node],
        }
    }
}
