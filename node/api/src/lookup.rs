//! Finds one object from an operator's input: a whole id, a name, or the beginning of an id.

use super::failure::Failure;

/// Finds the object in Docker's order: whole id, whole name, unique beginning of an id. `kind` and
/// `list` are for the message: `service`, and the command that lists them.
pub fn find<'a, T>(
    kind: &str,
    wanted: &str,
    items: impl Iterator<Item = &'a T> + Clone,
    id: impl Fn(&T) -> String,
    is_called: impl Fn(&T, &str) -> bool,
) -> Result<&'a T, Failure> {
    if let Some(item) = items.clone().find(|item| id(item) == wanted) {
        return Ok(item);
    }
    let mut called = items.clone().filter(|item| is_called(item, wanted));
    match (called.next(), called.next()) {
        (Some(item), None) => return Ok(item),
        (Some(_), Some(_)) => return Err(ambiguous(kind, wanted, "name")),
        (None, _) => {}
    }
    let mut begins = items.filter(|item| !wanted.is_empty() && id(item).starts_with(wanted));
    match (begins.next(), begins.next()) {
        (Some(item), None) => Ok(item),
        (Some(_), Some(_)) => Err(ambiguous(kind, wanted, "beginning of an id")),
        (None, _) => Err(Failure::Missing(format!(
            "{kind} {wanted} not found; {} lists what there is",
            listing(kind)
        ))),
    }
}

fn ambiguous(kind: &str, wanted: &str, what: &str) -> Failure {
    let list = listing(kind);
    Failure::Bad(format!(
        "{kind} {wanted} is ambiguous: more than one has this {what}; take the whole id from {list}"
    ))
}

fn listing(kind: &str) -> &'static str {
    match kind {
        "config" => "`edgectl config ls`",
        "secret" => "`edgectl secret ls`",
        "network" => "`edgectl network ls`",
        "node" => "`edgectl node ls`",
        "task" => "`edgectl service ps SERVICE`",
        _ => "`edgectl service ls`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEMS: [(&str, &str); 4] =
        [("abc1", "web"), ("abd2", "db"), ("xyz3", "abc1"), ("web9", "db")];

    fn look(wanted: &str) -> Result<&'static str, Failure> {
        let found = find("service", wanted, ITEMS.iter(), |i| i.0.to_owned(), |i, n| i.1 == n);
        found.map(|item| item.0)
    }

    #[test]
    fn a_whole_id_goes_before_a_name_and_a_name_before_a_beginning() {
        assert_eq!(look("abc1"), Ok("abc1"));
        assert_eq!(look("web"), Ok("abc1"));
        assert_eq!(look("x"), Ok("xyz3"));
    }

    #[test]
    fn what_several_have_is_ambiguous() {
        for wanted in ["ab", "db"] {
            assert!(matches!(look(wanted), Err(Failure::Bad(_))), "{wanted}");
        }
    }

    #[test]
    fn what_nobody_has_is_missing() {
        for wanted in ["", "nothing"] {
            assert!(matches!(look(wanted), Err(Failure::Missing(_))), "{wanted}");
        }
    }
}
