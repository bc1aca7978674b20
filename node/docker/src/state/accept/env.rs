//! The variables of a task, in an order that stays.
//!
//! Docker's client sends them in another order each time one is added or removed, and even if nothing
//! changed (`findings/docker-env-add-shuffles-variables.sh`). As another list that would be another
//! template, and replace all tasks.

use std::collections::BTreeMap;

/// The variables as they were sent, those that the service has first and in its order. Where a name
/// is there twice the order means something: then all stay as they were sent.
pub(super) fn in_order(sent: Vec<String>, current: &[String]) -> Vec<String> {
    let places: BTreeMap<&str, usize> =
        current.iter().enumerate().map(|(at, variable)| (name(variable), at)).collect();
    let names: BTreeMap<&str, ()> = sent.iter().map(|variable| (name(variable), ())).collect();
    if places.len() != current.len() || names.len() != sent.len() {
        return sent;
    }
    let mut sent = sent;
    sent.sort_by_key(|variable| places.get(name(variable)).copied().unwrap_or(usize::MAX));
    sent
}

fn name(variable: &str) -> &str {
    variable.split('=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn variables_stay_in_the_order_that_the_service_has() {
        for (current, sent, kept) in [
            ("A=1 B=2 C=3", "C=3 A=1 B=2", "A=1 B=2 C=3"),
            ("A=1 B=2 C=3", "B=9 D=4 A=1", "A=1 B=9 D=4"),
            ("", "B=2 A=1", "B=2 A=1"),
            ("A=1 B=2", "D C B=2 A=1", "A=1 B=2 D C"),
            // Of two with one name the last one counts.
            ("A=1 B=2", "B=2 A=1 B=3", "B=2 A=1 B=3"),
            ("A=1 B=2 A=3", "B=2 A=3", "B=2 A=3"),
        ] {
            assert_eq!(in_order(words(sent), &words(current)), words(kept), "{sent}");
        }
    }
}
