//! Addresses and names of hosts: `--host`, `--dns`, `--dns-search`, `--subnet`, `--gateway`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

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
    /// `10.7`.
    #[error("{0:?} is no subnet: write it like 10.7.0.0/16")]
    NotASubnet(String),
    /// `10.7.0.9`.
    #[error("{0:?} is no name with an address: write it like printer=10.7.0.9")]
    NotReserved(String),
}

/// An address of a subnet that is never given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// What it is for.
    pub name: String,
    /// The address.
    pub address: IpAddr,
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.address)
    }
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
pub fn ip(text: &str) -> Result<IpAddr, BadAddress> {
    text.trim().parse().map_err(|_| BadAddress::NotAnIp(text.to_owned()))
}

/// Reads an address, for lists of texts.
pub fn address(text: &str) -> Result<String, BadAddress> {
    Ok(ip(text)?.to_string())
}

/// Reads `10.7.0.0/16`.
pub fn subnet(text: &str) -> Result<IpNet, BadAddress> {
    text.trim().parse().map_err(|_| BadAddress::NotASubnet(text.to_owned()))
}

/// Reads `printer=10.7.0.9`.
pub fn reserved(text: &str) -> Result<Reserved, BadAddress> {
    let bad = || BadAddress::NotReserved(text.to_owned());
    let (name, address) = text.split_once('=').ok_or_else(bad)?;
    let (name, address) = (name.trim().to_owned(), ip(address).map_err(|_| bad())?);
    if name.is_empty() { Err(bad()) } else { Ok(Reserved { name, address }) }
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
        assert_eq!(subnet("fd12::/64").map(|net| net.to_string()), Ok("fd12::/64".to_owned()));
        assert_eq!(reserved("tv=10.7.0.9").map(|r| r.to_string()), Ok("tv=10.7.0.9".to_owned()));
    }

    #[test]
    fn nonsense_is_answered_with_what_to_write() {
        for text in ["printer", "printer:", ":10.0.0.7", "a b:10.0.0.7", "printer:lan", ""] {
            let error = extra_host(text).expect_err(text).to_string();
            assert!(error.contains("printer:10.0.0.7"), "{error}");
        }
        assert!(address("dns.lan").is_err() && address("10.0.0").is_err());
        assert!(domain("-x").is_err() && domain("a..b").is_err() && domain("").is_err());
        assert!(subnet("10.7").is_err() && subnet("10.7.0.0/33").is_err());
        assert!(reserved("10.7.0.9").is_err() && reserved("=10.7.0.9").is_err());
    }
}
