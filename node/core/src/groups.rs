//! Nodes in groups by the values of labels, one level per preference, outermost first.
//!
//! Group 0 is all nodes; a group lies in the one around it and holds either groups or nodes. Without
//! preferences there is only group 0. This file counts no tasks.

use std::collections::BTreeMap;

use crate::preference::Preference;
use crate::view::NodeView;

/// What a group holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// A group, by its number.
    Group(usize),
    /// A node, by its place in the order in which the nodes were given.
    Node(usize),
}

/// Nodes in groups.
#[derive(Debug, Clone)]
pub struct Groups<'a> {
    preferences: &'a [Preference],
    /// Per group the one around it, which has a lower number; group 0 has none.
    around: Vec<Option<usize>>,
    /// Per node its innermost group.
    of_node: Vec<usize>,
    by_value: BTreeMap<(usize, &'a str), usize>,
}

impl<'a> Groups<'a> {
    /// Groups these nodes.
    pub fn new(preferences: &'a [Preference], nodes: &[&'a NodeView]) -> Groups<'a> {
        let mut groups = Groups {
            preferences,
            around: vec![None],
            of_node: Vec::with_capacity(nodes.len()),
            by_value: BTreeMap::new(),
        };
        for node in nodes {
            let innermost = groups.enter(node);
            groups.of_node.push(innermost);
        }
        groups
    }

    fn enter(&mut self, node: &'a NodeView) -> usize {
        let mut group = 0;
        for preference in self.preferences {
            let next = self.around.len();
            let inner = *self.by_value.entry((group, preference.value(node))).or_insert(next);
            if inner == next {
                self.around.push(Some(group));
            }
            group = inner;
        }
        group
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.around.len()
    }

    /// The group around a group.
    pub fn around(&self, group: usize) -> Option<usize> {
        self.around[group]
    }

    /// The innermost group of a node.
    pub fn of_node(&self, node: usize) -> usize {
        self.of_node[node]
    }

    /// A group and all those around it, innermost first.
    pub fn outwards(&self, group: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(group), |group| self.around[*group])
    }

    /// The innermost of these groups that a node would be in which was not among those given.
    pub fn nearest(&self, node: &NodeView) -> usize {
        let mut group = 0;
        for preference in self.preferences {
            match self.by_value.get(&(group, preference.value(node))) {
                Some(inner) => group = *inner,
                None => break,
            }
        }
        group
    }

    /// What every group holds.
    pub fn members(&self) -> Vec<Vec<Member>> {
        let mut members = vec![Vec::new(); self.len()];
        for (group, around) in self.around.iter().enumerate() {
            if let Some(around) = around {
                members[*around].push(Member::Group(group));
            }
        }
        for (node, group) in self.of_node.iter().enumerate() {
            members[*group].push(Member::Node(node));
        }
        members
    }

    /// Per group the sum of what its nodes have.
    pub fn sums(&self, of_nodes: &[u32]) -> Vec<u32> {
        let mut sums = vec![0_u32; self.len()];
        for (node, amount) in of_nodes.iter().enumerate() {
            let sum = &mut sums[self.of_node[node]];
            *sum = sum.saturating_add(*amount);
        }
        for group in (1..self.len()).rev() {
            let around = self.around[group].expect("only group 0 lies in none");
            sums[around] = sums[around].saturating_add(sums[group]);
        }
        sums
    }
}
