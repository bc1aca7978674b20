//! The rule for names of services.

use crdt_state::limits;

/// Docker's rule for names of services: no dots, so that a name is one label of a DNS name.
pub(crate) fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=limits::NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_label_of_a_dns_name() {
        let longest = "a".repeat(63);
        for name in ["web", "a", "7", "web-1", "a_b", "WEB--_2", longest.as_str()] {
            assert!(is_name(name), "{name}");
        }
        let too_long = "a".repeat(64);
        for name in ["", "web.1", "a.b", "-web", "web-", "_a", "a b", "ü", too_long.as_str()] {
            assert!(!is_name(name), "{name}");
        }
    }
}
