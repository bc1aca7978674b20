//! Quotas: how many slots each node may still take, so that groups of nodes and the nodes in each of
//! them keep their shares.
//!
//! A node takes its base without asking. One more it takes out of the extras of its group; when these
//! are used up, the group takes one more than its own base out of the extras of the group around it,
//! once. Nothing that is taken gives room to another node, and whatever is taken first, all slots
//! that fit are taken in the end: the sets of slots that fit are a matroid (paths in a tree whose
//! edges have capacities). So to keep what fits in any order keeps as much as possible.

use crate::groups::{Groups, Member};
use crate::share::{Room, share};

/// What is left to take.
#[derive(Debug, Clone)]
pub struct Quotas {
    nodes: Vec<NodeQuota>,
    groups: Vec<GroupQuota>,
}

#[derive(Debug, Clone, Copy, Default)]
struct NodeQuota {
    group: usize,
    /// So many more up to its base.
    base: u32,
    may_take_extra: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct GroupQuota {
    around: Option<usize>,
    /// So many of its members may still take one more than their base.
    extras: u32,
    /// May it take one more than its own base?
    may_take_extra: bool,
}

impl Quotas {
    /// Shares `slots` out among nodes with these capacities, group by group. `loads` are the tasks
    /// that each group has besides.
    pub fn new(slots: u32, groups: &Groups<'_>, capacities: &[u32], loads: &[u32]) -> Quotas {
        let capacities_of_groups = groups.sums(capacities);
        let mut bases = vec![0; groups.len()];
        bases[0] = slots;
        let mut quotas = Quotas {
            nodes: vec![NodeQuota::default(); capacities.len()],
            groups: vec![GroupQuota::default(); groups.len()],
        };
        // A group comes after the one around it, so its base is known.
        for (group, members) in groups.members().iter().enumerate() {
            let room = |member: &Member| match member {
                Member::Group(inner) => {
                    Room { most: capacities_of_groups[*inner], load: loads[*inner] }
                }
                Member::Node(node) => Room { most: capacities[*node], load: 0 },
            };
            let shares = share(bases[group], &members.iter().map(room).collect::<Vec<_>>());
            quotas.groups[group].around = groups.around(group);
            quotas.groups[group].extras = shares.extras;
            for (at, member) in members.iter().enumerate() {
                let (base, may_take_extra) = (shares.base[at], shares.may_take_extra[at]);
                match member {
                    Member::Group(inner) => {
                        bases[*inner] = base;
                        quotas.groups[*inner].may_take_extra = may_take_extra;
                    }
                    Member::Node(node) => {
                        quotas.nodes[*node] = NodeQuota { group, base, may_take_extra };
                    }
                }
            }
        }
        quotas
    }

    /// Without shares: each node takes as many as it can.
    pub fn without_shares(capacities: impl Iterator<Item = u32>) -> Quotas {
        let quota = |base| NodeQuota { group: 0, base, may_take_extra: false };
        Quotas { nodes: capacities.map(quota).collect(), groups: vec![GroupQuota::default()] }
    }

    /// May the node take one more?
    pub fn has_room(&self, node: usize) -> bool {
        let quota = self.nodes[node];
        quota.base > 0 || quota.may_take_extra && self.has_extra(quota.group)
    }

    fn has_extra(&self, group: usize) -> bool {
        let quota = self.groups[group];
        quota.extras > 0
            || quota.may_take_extra && quota.around.is_some_and(|around| self.has_extra(around))
    }

    /// The node takes one; it has room.
    pub fn take(&mut self, node: usize) {
        let quota = &mut self.nodes[node];
        if quota.base > 0 {
            quota.base -= 1;
            return;
        }
        quota.may_take_extra = false;
        let mut next = Some(quota.group);
        while let Some(group) = next {
            let quota = &mut self.groups[group];
            if quota.extras > 0 {
                quota.extras -= 1;
                return;
            }
            quota.may_take_extra = false;
            next = quota.around;
        }
    }
}
