//! Adds to lists and removes from them, with an error if the item to remove is missing.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::value::Pair;

/// The error for a missing item.
pub fn nothing_to_remove<'a>(
    what: &str,
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Failure {
    let known: Vec<&str> = known.into_iter().collect();
    Failure::new(format!("there is no {what} {typed:?} to remove")).why(match known.as_slice() {
        [] => format!("the service has no {what}"),
        known => format!("the service has {}", known.join(", ")),
    })
}

/// Removes by key, then adds; an added item replaces the one with its key, at the same place.
pub fn change_list<T: Clone>(
    what: &str,
    list: &mut Vec<T>,
    add: &[T],
    remove: &[String],
    key: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    for removed in remove {
        let known: Vec<String> = list.iter().map(&key).collect();
        if !known.contains(removed) {
            return Err(nothing_to_remove(what, removed, known.iter().map(String::as_str)));
        }
        list.retain(|held| key(held) != *removed);
    }
    for added in add {
        match list.iter_mut().find(|held| key(held) == key(added)) {
            Some(held) => *held = added.clone(),
            None => list.push(added.clone()),
        }
    }
    Ok(())
}

/// Removes by name, then adds or replaces.
pub fn change_map(
    what: &str,
    map: &mut BTreeMap<String, String>,
    add: &[Pair],
    remove: &[String],
) -> Result<(), Failure> {
    for name in remove {
        if map.remove(name).is_none() {
            return Err(nothing_to_remove(what, name, map.keys().map(String::as_str)));
        }
    }
    map.extend(add.iter().map(|pair| (pair.name.clone(), pair.value.clone())));
    Ok(())
}
