//! Generic resources of a node: `gpu=2` for two of a kind, `camera=front` and `camera=back` for two
//! that have names.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::limits::{AMOUNT_MAX, WORD_BYTES_MAX};
use crdt_state::resource::RESOURCE_NAMES_MAX;

/// How many of one kind, or which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// So many, and all are alike.
    Count(u64),
    /// These.
    Named(BTreeSet<String>),
}

impl Amount {
    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Amount::Count(count) => *count,
            Amount::Named(names) => names.len() as u64,
        }
    }
}

/// What a node has, by kind.
pub type GenericResources = BTreeMap<String, Amount>;

/// A text that is none, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadResource {
    pub(super) text: String,
    pub(super) why: &'static str,
}

const TOO_LONG: &str = "at most 255 letters are possible";

/// Why a text cannot be the name of a resource.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    let illegal = |c: char| c == ',' || c == '=' || c.is_whitespace() || c.is_control();
    match name.len() {
        0 => Some("it is empty"),
        length if length > WORD_BYTES_MAX => Some(TOO_LONG),
        _ => name.contains(illegal).then_some("a name has no blank, no comma and no equals sign"),
    }
}

/// Reads a whole list.
pub(super) fn read(texts: &[String]) -> Result<GenericResources, BadResource> {
    let mut resources = GenericResources::new();
    let mut names = 0;
    for text in texts {
        let bad = |why| BadResource { text: text.clone(), why };
        let (kind, value) = text.split_once('=').unwrap_or((text, ""));
        let (kind, value) = (kind.trim(), value.trim());
        let is_kind = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if kind.is_empty() || !kind.chars().all(is_kind) || value.is_empty() {
            return Err(bad("a resource is written gpu=2, or camera=front where each has a name"));
        }
        if kind.len() > WORD_BYTES_MAX {
            return Err(bad(TOO_LONG));
        }
        if let Some(why) = name_fault(value) {
            return Err(bad(why));
        }
        let is_number = value.chars().all(|c| c.is_ascii_digit());
        // One that does not fit is no number of things that anybody has.
        let count = is_number.then(|| value.parse::<u64>().unwrap_or(0));
        match (count, resources.get_mut(kind)) {
            (Some(count), None) if (1..=AMOUNT_MAX).contains(&count) => {
                resources.insert(kind.to_owned(), Amount::Count(count));
            }
            (Some(_), None) => {
                return Err(bad("there is at least one and at most 2^63; or leave it out"));
            }
            (None, None) => {
                let named = Amount::Named(BTreeSet::from([value.to_owned()]));
                resources.insert(kind.to_owned(), named);
            }
            (None, Some(Amount::Named(known))) => {
                if !known.insert(value.to_owned()) {
                    return Err(bad("it is there twice; leave one out"));
                }
            }
            (Some(_), Some(Amount::Count(_))) => {
                return Err(bad("its number is there already; write their sum"));
            }
            (Some(_), Some(Amount::Named(_))) | (None, Some(Amount::Count(_))) => {
                return Err(bad("of one kind give either a number or names, not both"));
            }
        }
        names += usize::from(!is_number);
        if names > RESOURCE_NAMES_MAX {
            return Err(bad("a node has at most 1,024 resources with names"));
        }
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(texts: &[&str]) -> Result<GenericResources, &'static str> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        read(&texts).map_err(|bad| bad.why)
    }

    #[test]
    fn a_kind_has_a_number_or_names() {
        let read = read_all(&["gpu=2", "camera=front", " camera = back ", "can.bus=can0"]);
        let named =
            |names: &[&str]| Amount::Named(names.iter().map(|name| (*name).to_owned()).collect());
        let expected = [
            ("camera", named(&["back", "front"])),
            ("can.bus", named(&["can0"])),
            ("gpu", Amount::Count(2)),
        ];
        let expected = expected.map(|(kind, amount)| (kind.to_owned(), amount));
        assert_eq!(read, Ok(expected.into()));
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        for (texts, words) in [
            (&["gpu"][..], "gpu=2"),
            (&["=2"], "gpu=2"),
            (&["g p u=2"], "gpu=2"),
            (&["gpu=0"], "at least one"),
            (&["gpu=99999999999999999999999"], "at least one"),
            (&["gpu=1", "gpu=1"], "their sum"),
            (&["gpu=1", "gpu=a"], "either a number or names"),
            (&["gpu=a", "gpu=1"], "either a number or names"),
            (&["gpu=a", "gpu=a"], "twice"),
            (&["camera=the front"], "no blank"),
        ] {
            let why = read_all(texts).expect_err("refused");
            assert!(why.contains(words), "{texts:?}: {why}");
        }
    }
}
