//! The fixed part of a table: chains, rules and empty maps, and how they are written.
//!
//! It is built by netlink, not by the program `nft`: that takes 10 to 20 ms where this takes 4, is not
//! installed everywhere, and could not put the table and its elements in place in one transaction.

use std::borrow::Cow;

use super::expression::Rule;
use super::field::Field;
use super::message::{APPEND, Attributes, CREATE, EXCLUSIVE, Messages, tables};
use super::typeof_data;

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;

/// What a map holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Only its keys.
    Keys,
    /// The chain to go to.
    Chain,
    /// These fields.
    Fields(&'static [Field]),
}

/// A map or a set of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// Its name.
    pub(super) name: &'static str,
    /// Its key.
    pub(super) key: &'static [Field],
    /// What it holds for a key.
    pub(super) holds: Holds,
}

/// Where a chain is called from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    /// `nat` or `filter`.
    pub(super) kind: &'static str,
    /// Its number.
    pub(super) number: u32,
    /// Lower comes first.
    pub(super) priority: i32,
}

/// Translation of destinations of packets that come in.
pub(super) const PREROUTING_TRANSLATE: Hook = Hook { kind: "nat", number: 0, priority: -100 };
/// Translation of destinations of packets that this namespace sends itself.
pub(super) const OUTPUT_TRANSLATE: Hook = Hook { kind: "nat", number: 3, priority: -100 };
/// Translation of sources.
pub(super) const POSTROUTING_TRANSLATE: Hook = Hook { kind: "nat", number: 4, priority: 100 };
/// Before connections are looked up.
pub(super) const PREROUTING_RAW: Hook = Hook { kind: "filter", number: 0, priority: -300 };
/// What this namespace sends itself, before connections are looked up.
pub(super) const OUTPUT_RAW: Hook = Hook { kind: "filter", number: 3, priority: -300 };
/// After connections are looked up, before translation.
pub(super) const PREROUTING_CHANGE: Hook = Hook { kind: "filter", number: 0, priority: -150 };
/// What is for this namespace itself.
pub(super) const INPUT: Hook = Hook { kind: "filter", number: 1, priority: 0 };
/// What is forwarded, to be changed before others judge it.
pub(super) const FORWARD_CHANGE: Hook = Hook { kind: "filter", number: 2, priority: -150 };
/// What is forwarded.
pub(super) const FORWARD: Hook = Hook { kind: "filter", number: 2, priority: 0 };
/// What comes in by a device, before IP sees it: only of [`family::DEVICE`](super::message::family).
pub(super) const DEVICE_INPUT: Hook = Hook { kind: "filter", number: 0, priority: 0 };

/// A chain.
#[derive(Clone)]
pub(super) struct Chain {
    /// Its name.
    pub(super) name: String,
    /// Where it is called from, if not from another chain only.
    pub(super) hook: Option<Hook>,
    /// The devices whose packets it sees; none: those of all.
    pub(super) devices: Vec<String>,
    /// Its rules.
    pub(super) rules: Vec<Rule>,
}

impl Chain {
    /// A chain that is called from a hook.
    pub(super) fn at(hook: Hook, name: &str, rules: Vec<Rule>) -> Self {
        Self { name: name.into(), hook: Some(hook), devices: Vec::new(), rules }
    }

    /// A chain that others go to.
    pub(super) fn inner(name: impl Into<String>, rules: Vec<Rule>) -> Self {
        Self { name: name.into(), hook: None, devices: Vec::new(), rules }
    }
}

/// The fixed part of a table.
pub(super) struct Layout {
    /// Its family.
    pub(super) family: u8,
    /// The name of the table.
    pub(super) table: String,
    /// Its maps.
    pub(super) maps: &'static [Map],
    /// Its chains; many tables share them, if they are the same in every network.
    pub(super) chains: Cow<'static, [Chain]>,
}

impl Layout {
    /// Writes messages that put the table, with empty maps, in place of whatever has its name.
    pub(super) fn write(&self, transaction: &mut Messages) {
        self.write_removal(transaction);
        self.write_new(transaction);
    }

    /// Writes messages that make the table, with empty maps; it must not be there.
    pub(super) fn write_new(&self, transaction: &mut Messages) {
        let flags = CREATE | EXCLUSIVE;
        self.push(transaction, NEW_TABLE, flags, |table| _ = table.text(1, &self.table));
        for (number, map) in (1..).zip(self.maps) {
            self.push(transaction, NEW_SET, CREATE, |set| self.write_map(set, map, number));
        }
        for chain in self.chains.iter() {
            self.push(transaction, NEW_CHAIN, CREATE, |attributes| {
                self.write_chain(attributes, chain);
            });
        }
        for chain in self.chains.iter() {
            for rule in &chain.rules {
                self.push(transaction, NEW_RULE, CREATE | APPEND, |attributes| {
                    attributes.text(1, &self.table).text(2, &chain.name).nested(4, |expressions| {
                        expressions.written(rule.expressions());
                    });
                });
            }
        }
    }

    /// Writes messages that remove whatever has the table's name.
    pub(super) fn write_removal(&self, transaction: &mut Messages) {
        // To remove what is not there is an error; to make what is there is none.
        self.push(transaction, NEW_TABLE, CREATE, |table| _ = table.text(1, &self.table));
        self.push(transaction, DELETE_TABLE, 0, |table| _ = table.text(1, &self.table));
    }

    fn push(
        &self,
        transaction: &mut Messages,
        message: u16,
        flags: u16,
        body: impl FnOnce(&mut Attributes<'_>),
    ) {
        transaction.push(tables(message), flags, self.family, body);
    }

    fn write_chain(&self, attributes: &mut Attributes<'_>, chain: &Chain) {
        attributes.text(1, &self.table).text(3, &chain.name);
        if let Some(hook) = chain.hook {
            attributes
                .nested(4, |place| {
                    place.number(1, hook.number).bytes(2, &hook.priority.to_be_bytes());
                    if !chain.devices.is_empty() {
                        place.nested(4, |devices| {
                            chain.devices.iter().for_each(|name| _ = devices.text(1, name));
                        });
                    }
                })
                .text(7, hook.kind);
        }
    }

    fn write_map(&self, set: &mut Attributes<'_>, map: &Map, number: u32) {
        const FLAG_MAP: u32 = 0x8;
        const KIND_VERDICT: u32 = 0xffff_ff00;
        set.text(1, &self.table).text(2, map.name).number(10, number);
        set.number(4, kind(map.key)).number(5, length(map.key));
        match map.holds {
            Holds::Keys => {
                set.number(3, 0).bytes(13, &typeof_data::describe_key(map.key));
            }
            Holds::Chain => {
                set.number(3, FLAG_MAP).number(6, KIND_VERDICT).number(7, 0);
            }
            Holds::Fields(fields) => {
                set.number(3, FLAG_MAP).number(6, kind(fields)).number(7, length(fields));
                if map.key.contains(&Field::Slot) {
                    set.bytes(13, &typeof_data::describe(map.key, fields));
                }
            }
        }
    }
}

/// The number by which `nft` knows a sequence of fields: six bits for each.
fn kind(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |kind, field| kind << 6 | field.kind())
}

fn length(fields: &[Field]) -> u32 {
    let bytes: usize = fields.iter().map(|field| field.bytes()).sum();
    u32::try_from(bytes).expect("a key has a few bytes")
}
