//! The network between the machines: who reaches whom, with which delay and loss.
//!
//! Every ordered pair of machines is a link with its own conditions. A fault adds to a link, and at
//! its end takes away what it added, so that faults may overlap. Datagrams are lost, duplicated and
//! reordered; reliable messages are delayed instead, or fail as a whole.

use crate::dice::Dice;

/// Number of a machine in its world.
pub type MachineNo = usize;

/// Conditions never lose everything: a cut is a fault of its own. With 85 % loss, one of some 44
/// pings still gets its acknowledgement.
const LOSS_PERMILLE_MAX: u32 = 850;

/// What a fault adds to a link. Delays in milliseconds, chances in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkConditions {
    /// Chance that a datagram is lost.
    pub loss_permille: u32,
    /// Chance that a datagram arrives twice.
    pub duplicate_permille: u32,
    /// Added to each packet.
    pub delay_ms: u64,
    /// A random delay of at most this is added to each packet; it reorders packets.
    pub jitter_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    cuts: u32,
    conditions: LinkConditions,
}

/// The network of one world.
#[derive(Debug)]
pub struct Network {
    machines: usize,
    links: Vec<Link>,
    dice: Dice,
}

impl Network {
    /// All machines reach each other in 1 to 3 ms, plus the conditions that this network always
    /// has.
    pub fn new(machines: usize, always: LinkConditions, dice: Dice) -> Network {
        let link = Link { cuts: 0, conditions: always };
        Network { machines, links: vec![link; machines * machines], dice }
    }

    fn link(&self, from: MachineNo, to: MachineNo) -> &Link {
        &self.links[from * self.machines + to]
    }

    fn link_mut(&mut self, from: MachineNo, to: MachineNo) -> &mut Link {
        &mut self.links[from * self.machines + to]
    }

    /// Cuts the link from one machine to another, but not the way back.
    pub fn cut(&mut self, from: MachineNo, to: MachineNo) {
        self.link_mut(from, to).cuts += 1;
    }

    /// Undoes one [`Network::cut`].
    pub fn mend(&mut self, from: MachineNo, to: MachineNo) {
        let link = self.link_mut(from, to);
        link.cuts = link.cuts.checked_sub(1).expect("only what was cut is mended");
    }

    /// Makes the conditions of a link worse.
    pub fn worsen(&mut self, from: MachineNo, to: MachineNo, by: LinkConditions) {
        let conditions = &mut self.link_mut(from, to).conditions;
        conditions.loss_permille += by.loss_permille;
        conditions.duplicate_permille += by.duplicate_permille;
        conditions.delay_ms += by.delay_ms;
        conditions.jitter_ms += by.jitter_ms;
    }

    /// Undoes one [`Network::worsen`].
    pub fn calm(&mut self, from: MachineNo, to: MachineNo, by: LinkConditions) {
        let conditions = &mut self.link_mut(from, to).conditions;
        conditions.loss_permille -= by.loss_permille;
        conditions.duplicate_permille -= by.duplicate_permille;
        conditions.delay_ms -= by.delay_ms;
        conditions.jitter_ms -= by.jitter_ms;
    }

    /// Can a packet get from one machine to the other?
    pub fn is_open(&self, from: MachineNo, to: MachineNo) -> bool {
        self.link(from, to).cuts == 0
    }

    /// Can the two have a connection?
    pub fn is_open_both_ways(&self, a: MachineNo, b: MachineNo) -> bool {
        self.is_open(a, b) && self.is_open(b, a)
    }

    fn transit_ms(&mut self, from: MachineNo, to: MachineNo) -> u64 {
        let conditions = self.link(from, to).conditions;
        conditions.delay_ms + self.dice.between(1, 3) + self.dice.between(0, conditions.jitter_ms)
    }

    /// The delays in milliseconds after which a datagram arrives: none, one or two.
    pub fn datagram(&mut self, from: MachineNo, to: MachineNo) -> Vec<u64> {
        let conditions = self.link(from, to).conditions;
        let lost = self.dice.happens(conditions.loss_permille.min(LOSS_PERMILLE_MAX));
        let doubled = self.dice.happens(conditions.duplicate_permille);
        let first = self.transit_ms(from, to);
        let second = self.transit_ms(from, to);
        match (self.is_open(from, to) && !lost, doubled) {
            (false, _) => Vec::new(),
            (true, false) => vec![first],
            (true, true) => vec![first, first + second],
        }
    }

    /// The delay in milliseconds of one attempt of a reliable message; `None` if it fails and the
    /// sender tries again. An attempt needs both directions, because of the acknowledgement.
    pub fn attempt(&mut self, from: MachineNo, to: MachineNo) -> Option<u64> {
        let there = self.link(from, to).conditions.loss_permille.min(LOSS_PERMILLE_MAX);
        let back = self.link(to, from).conditions.loss_permille.min(LOSS_PERMILLE_MAX);
        let lost = self.dice.happens(there) | self.dice.happens(back);
        let transit = self.transit_ms(from, to);
        (self.is_open_both_ways(from, to) && !lost).then_some(transit)
    }

    /// The groups of machines among `up` that can reach each other over connections, possibly
    /// through others: each machine once, lowest first.
    pub fn components(&self, up: &[MachineNo]) -> Vec<Vec<MachineNo>> {
        let mut left: Vec<MachineNo> = up.to_vec();
        let mut components = Vec::new();
        while !left.is_empty() {
            let mut component = vec![left.remove(0)];
            let mut next = 0;
            while next < component.len() {
                let from = component[next];
                let (near, far): (Vec<_>, Vec<_>) =
                    left.iter().partition(|to| self.is_open_both_ways(from, **to));
                component.extend(near);
                left = far;
                next += 1;
            }
            component.sort_unstable();
            components.push(component);
        }
        components
    }

    /// Can every machine in the group reach every other one directly?
    pub fn is_clique(&self, component: &[MachineNo]) -> bool {
        component.iter().all(|a| component.iter().all(|b| self.is_open_both_ways(*a, *b)))
    }

    /// The worst conditions on the links among these machines, separately for each figure.
    pub fn worst_conditions(&self, among: &[MachineNo]) -> LinkConditions {
        let mut worst = LinkConditions::default();
        for a in among {
            for b in among.iter().filter(|b| *b != a) {
                let conditions = self.link(*a, *b).conditions;
                worst.loss_permille = worst.loss_permille.max(conditions.loss_permille);
                worst.duplicate_permille =
                    worst.duplicate_permille.max(conditions.duplicate_permille);
                worst.delay_ms = worst.delay_ms.max(conditions.delay_ms);
                worst.jitter_ms = worst.jitter_ms.max(conditions.jitter_ms);
            }
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(machines: usize) -> Network {
        Network::new(machines, LinkConditions::default(), Dice::new(1, "network"))
    }

    #[test]
    fn a_one_way_cut_lets_datagrams_through_the_other_way_only() {
        let mut network = network(2);
        network.cut(0, 1);
        assert!(network.datagram(0, 1).is_empty());
        assert_eq!(network.datagram(1, 0).len(), 1);
        assert_eq!(network.attempt(1, 0), None);
        network.mend(0, 1);
        assert!(network.attempt(1, 0).is_some());
    }

    #[test]
    fn a_link_that_is_cut_twice_is_open_after_both_are_mended() {
        let mut network = network(2);
        network.cut(0, 1);
        network.cut(0, 1);
        network.mend(0, 1);
        assert!(!network.is_open(0, 1));
        network.mend(0, 1);
        assert!(network.is_open(0, 1));
    }

    #[test]
    fn a_bridge_keeps_both_sides_in_one_component_that_is_no_clique() {
        let mut network = network(4);
        for (a, b) in [(0, 2), (0, 3), (1, 2)] {
            network.cut(a, b);
            network.cut(b, a);
        }
        assert_eq!(network.components(&[0, 1, 2, 3]), vec![vec![0, 1, 2, 3]]);
        assert!(!network.is_clique(&[0, 1, 2, 3]));
        assert_eq!(network.components(&[0, 2, 3]), vec![vec![0], vec![2, 3]]);
    }
}
