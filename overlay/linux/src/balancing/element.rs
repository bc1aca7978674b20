//! The elements of maps: as values, as messages, and read from a dump.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::expression::{ReadData, read_data, write_goto, write_value};
use super::field::Field;
use super::layout::{Holds, Map};
use super::message::{Attributes, CREATE, Messages, attribute, attributes, family, tables};

pub(super) const NEW_ELEMENT: u16 = 12;
pub(super) const GET_ELEMENT: u16 = 13;
pub(super) const DELETE_ELEMENT: u16 = 14;
const LIST_TABLE: u16 = 1;
const LIST_MAP: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;

/// A list of elements is an attribute, so shorter than 64 KiB; the largest element has 92 bytes.
const ELEMENTS_PER_MESSAGE: usize = 500;

/// Fields one after the other, as registers hold them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    /// Adds an address of either family.
    pub(super) fn address(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.0.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => self.0.extend_from_slice(&address.octets()),
        }
        self
    }

    /// Adds a protocol.
    pub(super) fn protocol(mut self, protocol: u8) -> Self {
        self.0.extend_from_slice(&[protocol, 0, 0, 0]);
        self
    }

    /// Adds a port.
    pub(super) fn port(mut self, port: u16) -> Self {
        self.0.extend_from_slice(&port.to_be_bytes());
        self.0.extend_from_slice(&[0; 2]);
        self
    }

    /// Adds the number of a network in VXLAN.
    pub(super) fn vni(mut self, vni: u32) -> Self {
        self.0.extend_from_slice(&vni.to_be_bytes()[1..]);
        self.0.push(0);
        self
    }

    /// Adds the number of a slot.
    pub(super) fn slot(mut self, slot: u32) -> Self {
        self.0.extend_from_slice(&slot.to_ne_bytes());
        self
    }
}

/// Where an element is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The number of its map in the layout.
    pub(super) map: usize,
    /// Its key.
    pub(super) key: Fields,
}

/// What a map holds for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing: it is a set.
    Nothing,
    /// Go to this chain.
    Chain(String),
    /// Fields.
    Fields(Fields),
}

/// Elements by their place.
pub(super) type Elements = BTreeMap<Place, Value>;

/// A change of one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// What is done.
    pub(super) action: Action,
    /// Where.
    pub(super) place: Place,
    /// The new value; when it is deleted, the old one.
    pub(super) value: Value,
}

/// What is done to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is removed.
    Delete,
    /// It is made.
    Add,
}

/// Adds the edits that lead from `old` to `new`. All edits of a transaction are sorted later, so
/// that a value is replaced by a deletion and an addition.
pub(super) fn difference(old: Elements, new: Elements, edits: &mut Vec<Edit>) {
    let mut new = new;
    for (place, value) in old {
        if new.get(&place) == Some(&value) {
            new.remove(&place);
        } else {
            edits.push(Edit { action: Action::Delete, place, value });
        }
    }
    edits.extend(additions(new));
}

/// The edits that make `elements` where there are none.
pub(super) fn additions(elements: Elements) -> impl Iterator<Item = Edit> {
    elements.into_iter().map(|(place, value)| Edit { action: Action::Add, place, value })
}

/// Which edits a message of a transaction carries, and where in it each of them begins.
#[derive(Default)]
pub(super) struct Positions(BTreeMap<u32, Vec<(usize, usize)>>);

impl Positions {
    /// The edit at `offset` of a message: the last one that begins there or before.
    pub(super) fn edit(&self, message: u32, offset: Option<usize>) -> Option<usize> {
        let edits = self.0.get(&message)?;
        let offset = offset?;
        edits.iter().take_while(|(start, _)| *start <= offset).last().map(|(_, edit)| *edit)
    }
}

/// Writes edits as messages, deletions first.
pub(super) fn write_edits(
    transaction: &mut Messages,
    table: &str,
    maps: &[Map],
    edits: &mut [Edit],
) -> Positions {
    edits.sort_by_key(|edit| (edit.action as u8, edit.place.map));
    let mut positions = Positions::default();
    let mut index = 0;
    let alike = |a: &Edit, b: &Edit| a.action == b.action && a.place.map == b.place.map;
    for group in edits.chunk_by(alike) {
        for chunk in group.chunks(ELEMENTS_PER_MESSAGE) {
            let mut starts = Vec::with_capacity(chunk.len());
            let message = transaction.count();
            let (kind, flags) = match chunk[0].action {
                Action::Delete => (DELETE_ELEMENT, 0),
                Action::Add => (NEW_ELEMENT, CREATE),
            };
            let map = &maps[chunk[0].place.map];
            transaction.push(tables(kind), flags, family::INET, |attributes| {
                let start = attributes.message_start();
                attributes.text(LIST_TABLE, table).text(LIST_MAP, map.name);
                attributes.nested(LIST_ELEMENTS, |list| {
                    for edit in chunk {
                        starts.push((list.position() - start, index));
                        index += 1;
                        list.nested(1, |element| write_element(element, edit));
                    }
                });
            });
            positions.0.insert(message, starts);
        }
    }
    positions
}

fn write_element(element: &mut Attributes<'_>, edit: &Edit) {
    element.nested(ELEMENT_KEY, |data| write_value(data, &edit.place.key.0));
    if edit.action == Action::Delete {
        return;
    }
    match &edit.value {
        Value::Nothing => {}
        Value::Chain(chain) => {
            element.nested(ELEMENT_DATA, |data| write_goto(data, chain));
        }
        Value::Fields(fields) => {
            element.nested(ELEMENT_DATA, |data| write_value(data, &fields.0));
        }
    }
}

/// The question for all elements of a map.
pub(super) fn write_question(table: &str, map: &Map) -> Messages {
    let mut question = Messages::default();
    question.push(tables(GET_ELEMENT), super::message::DUMP, family::INET, |attributes| {
        attributes.text(LIST_TABLE, table).text(LIST_MAP, map.name);
    });
    question
}

/// Takes the elements that one message of a dump shows out of `expected`; returns whether all of
/// them were there with the same value.
pub(super) fn strike_out(expected: &mut Elements, map: usize, body: &[u8]) -> bool {
    let Some(list) = attribute(body, LIST_ELEMENTS) else { return true };
    attributes(list).all(|(_, element)| {
        let key = attribute(element, ELEMENT_KEY).and_then(read_data);
        let Some(ReadData::Value(key)) = key else { return false };
        let found = expected.remove(&Place { map, key: Fields(key.to_vec()) });
        let data = attribute(element, ELEMENT_DATA).and_then(read_data);
        match (found, data) {
            (Some(Value::Chain(chain)), Some(ReadData::Chain(shown))) => chain == shown,
            (Some(Value::Fields(fields)), Some(ReadData::Value(shown))) => fields.0 == shown,
            (Some(Value::Nothing), None) => true,
            _ => false,
        }
    })
}

/// Shows an edit as `nft` would write it.
pub(super) fn describe(maps: &[Map], edit: &Edit) -> String {
    let map = &maps[edit.place.map];
    let verb = match edit.action {
        Action::Delete => "delete",
        Action::Add => "add",
    };
    let key = Shown(map.key, &edit.place.key.0);
    match (&edit.value, map.holds) {
        (Value::Chain(chain), _) => format!("{verb} {} {{ {key} : goto {chain} }}", map.name),
        (Value::Fields(value), Holds::Fields(fields)) => {
            format!("{verb} {} {{ {key} : {} }}", map.name, Shown(fields, &value.0))
        }
        _ => format!("{verb} {} {{ {key} }}", map.name),
    }
}

struct Shown<'a>(&'a [Field], &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.1;
        for (index, field) in self.0.iter().enumerate() {
            let Some((value, rest)) = bytes.split_at_checked(field.bytes()) else { break };
            bytes = rest;
            if index > 0 {
                f.write_str(" . ")?;
            }
            let word: [u8; 4] = *value.first_chunk().expect("a field has at least 4 bytes");
            match field {
                Field::Address4 => write!(f, "{}", Ipv4Addr::from(word))?,
                Field::Address6 => {
                    let value: [u8; 16] = *value.first_chunk().expect("an address has 16 bytes");
                    write!(f, "{}", Ipv6Addr::from(value))?;
                }
                Field::Protocol => write!(f, "{}", word[0])?,
                Field::Port => write!(f, "{}", u16::from_be_bytes([word[0], word[1]]))?,
                Field::Slot => write!(f, "{}", u32::from_ne_bytes(word))?,
                Field::Vni => write!(f, "{}", u32::from_be_bytes(word) >> 8)?,
            }
        }
        Ok(())
    }
}
