//! Adds to lists and removes from them. Removing what is not there is no error, as in Docker; what
//! is both removed and added is there afterwards, where Docker's client loses some of it.

use std::collections::BTreeMap;

use crate::value::Pair;

/// Removes by key, then adds; an added item replaces the one with its key, at the same place.
pub fn change_list<T: Clone>(
    list: &mut Vec<T>,
    add: &[T],
    remove: &[String],
    key: impl Fn(&T) -> String,
) {
    list.retain(|held| !remove.contains(&key(held)));
    for added in add {
        match list.iter_mut().find(|held| key(held) == key(added)) {
            Some(held) => *held = added.clone(),
            None => list.push(added.clone()),
        }
    }
}

/// Removes by name, then adds or replaces.
pub fn change_map(map: &mut BTreeMap<String, String>, add: &[Pair], remove: &[String]) {
    map.retain(|name, _| !remove.contains(name));
    map.extend(add.iter().map(|pair| (pair.name.clone(), pair.value.clone())));
}

/// What is held and what is removed may be written in two ways: both are compared as `read` reads
/// them.
pub fn change_words(
    held: &mut Vec<String>,
    add: &[String],
    remove: &[String],
    read: impl Fn(&str) -> Option<String>,
) {
    let is_same = |one: &str, other: &str| {
        one == other || read(one).is_some_and(|one| read(other).is_some_and(|other| one == other))
    };
    held.retain(|held| !remove.iter().any(|removed| is_same(held, removed)));
    for added in add {
        if !held.iter().any(|held| is_same(held, added)) {
            held.push(added.clone());
        }
    }
}
