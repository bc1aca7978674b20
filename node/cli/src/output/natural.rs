//! The order of names in which a number in a name counts as a number: `web`, `web2`, `web10`.

/// What names are compared by. Of two names the one that is the other's beginning comes first, and
/// digits come before everything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Natural(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// The number of digits without leading zeros, and all digits.
    Number(usize, String),
    Text(String),
}

/// The key of a name.
pub fn natural(name: &str) -> Natural {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(match is_number {
            true => Part::Number(part.trim_start_matches('0').len(), part.to_owned()),
            false => Part::Text(part.to_owned()),
        });
        rest = after;
    }
    Natural(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_name_counts_as_a_number() {
        let ordered = ["1", "2a", "10", "d8", "d8u", "d14h", "web", "web2", "web10", "web10b"];
        let mut names = ordered;
        names.reverse();
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ordered);
        let large = "9".repeat(40);
        assert!(natural("a9") < natural(&format!("a{large}")));
        assert_ne!(natural("a01"), natural("a1"), "they are two names");
    }
}
