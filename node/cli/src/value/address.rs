//! Flags about names and networks: `--host`, `--dns`, `--dns-search`, `--network`.

use std::net::IpAddr;

use crate::output::nearest;

/// Why a text is not a valid value for these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// `printer`.
    #[error("{0:?} is no name with an address: write it like printer:10.0.0.7")]
    Host(String),
    /// `dns.lan`.
    #[error("{0:?} is no address: write it like 10.0.0.1")]
    NotAnIp(String),
    /// `-x`.
    #[error("{0:?} is no domain: write it like shop.lan, or . for none")]
    Domain(String),
    /// `bridge`.
    #[error("there is no network {word:?} yet: {hint}")]
    Network {
        /// As typed.
        word: String,
        /// The networks that exist.
        hint: String,
    },
}

/// Reads `printer:10.0.0.7` (or with `=`) as a line of `/etc/hosts`.
pub fn extra_host(text: &str) -> Result<String, BadAddress> {
    let bad = || BadAddress::Host(text.to_owned());
    let (name, address) = text.split_once(['=', ':']).ok_or_else(bad)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(bad());
    }
    Ok(format!("{address} {name}"))
}

/// Reads an address.
pub fn address(text: &str) -> Result<String, BadAddress> {
    let address: IpAddr = text.trim().parse().map_err(|_| BadAddress::NotAnIp(text.to_owned()))?;
    Ok(address.to_string())
}

/// Reads a domain.
pub fn domain(text: &str) -> Result<String, BadAddress> {
    let is_label = |label: &str| {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len()) && label.chars().all(is_inner) && !label.starts_with('-')
    };
    let is_domain = text == "." || text.trim_end_matches('.').split('.').all(is_label);
    if is_domain { Ok(text.to_owned()) } else { Err(BadAddress::Domain(text.to_owned())) }
}

/// Reads `host` or `none`, also as `name=host`.
pub fn network(text: &str) -> Result<String, BadAddress> {
    const ALL: [&str; 2] = ["host", "none"];
    let name = text.strip_prefix("name=").unwrap_or(text);
    if ALL.contains(&name) {
        return Ok(name.to_owned());
    }
    let hint = match nearest(name, ALL) {
        Some(near) => format!("did you mean {near}?"),
        None => "write host (the node's own) or none".to_owned(),
    };
    Err(BadAddress::Network { word: name.to_owned(), hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_read() {
        assert_eq!(extra_host("printer:10.0.0.7"), Ok("10.0.0.7 printer".to_owned()));
        assert_eq!(extra_host("v6=[fd00::7]"), Ok("fd00::7 v6".to_owned()));
        assert_eq!(extra_host("v6:fd00::7"), Ok("fd00::7 v6".to_owned()));
        assert_eq!(address("fd00::1"), Ok("fd00::1".to_owned()));
        assert_eq!(domain("shop.lan"), Ok("shop.lan".to_owned()));
        assert_eq!(network("name=none"), Ok("none".to_owned()));
    }

    #[test]
    fn nonsense_is_answered_with_what_to_write() {
        for text in ["printer", "printer:", ":10.0.0.7", "a b:10.0.0.7", "printer:lan", ""] {
            let error = extra_host(text).expect_err(text).to_string();
            assert!(error.contains("printer:10.0.0.7"), "{error}");
        }
        assert!(address("dns.lan").is_err() && address("10.0.0").is_err());
        assert!(domain("-x").is_err() && domain("a..b").is_err() && domain("").is_err());
        let error = network("hots").expect_err("mistyped").to_string();
        assert!(error.ends_with("did you mean host?"), "{error}");
        let error = network("backend").expect_err("not yet").to_string();
        assert!(error.ends_with("write host (the node's own) or none"), "{error}");
    }
}
