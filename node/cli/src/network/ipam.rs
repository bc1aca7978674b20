//! Flags of `network create` about addresses. Each range, gateway and reserved address goes to the
//! subnet that contains it, as in Docker's client; which subnets a network may have is the agent's
//! business.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

use crate::failure::Failure;
use crate::value::{self, Reserved};
use node_docker::network::IpamConfig;

/// Flags about addresses.
#[derive(Debug, Default, Args)]
pub struct AddressFlags {
    /// All its addresses: 10.7.0.0/16; one of each family [default: a free one]
    #[arg(long, value_name = "SUBNET", value_parser = value::subnet, value_delimiter = ',',
        help_heading = "Addresses")]
    subnet: Vec<IpNet>,
    /// Address of the gateway of a subnet [default: its first]
    #[arg(long, value_name = "IP", value_parser = value::ip, value_delimiter = ',',
        help_heading = "Addresses")]
    gateway: Vec<IpAddr>,
    /// Part of a subnet that tasks get their addresses from [default: all of it]
    #[arg(long, value_name = "SUBNET", value_parser = value::subnet, value_delimiter = ',',
        help_heading = "Addresses")]
    ip_range: Vec<IpNet>,
    /// Address of a subnet that no task gets: printer=10.7.0.9
    #[arg(long, value_name = "NAME=IP", value_parser = value::reserved,
        help_heading = "Addresses")]
    aux_address: Vec<Reserved>,
    /// Give tasks IPv4 addresses [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = "Addresses")]
    pub(super) ipv4: Option<bool>,
    /// Give tasks IPv6 addresses [default: true if there is such a subnet]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = "Addresses")]
    pub(super) ipv6: Option<bool>,
}

impl AddressFlags {
    /// The subnets, each with what belongs to it.
    pub(super) fn subnets(&self) -> Result<Vec<IpamConfig>, Failure> {
        let mut configs: Vec<IpamConfig> = self.subnet.iter().map(config).collect();
        for range in &self.ip_range {
            let at = self.home("--ip-range", range, |subnet| subnet.contains(range))?;
            set("range", &mut configs[at].ip_range, &range.to_string(), &self.subnet[at])?;
        }
        for gateway in &self.gateway {
            let at = self.home("--gateway", gateway, |subnet| subnet.contains(gateway))?;
            set("gateway", &mut configs[at].gateway, &gateway.to_string(), &self.subnet[at])?;
        }
        for reserved in &self.aux_address {
            let at =
                self.home("--aux-address", reserved, |subnet| subnet.contains(&reserved.address))?;
            let address = reserved.address.to_string();
            configs[at].auxiliary_addresses.insert(reserved.name.clone(), address);
        }
        Ok(configs)
    }

    /// The subnet that contains a value.
    fn home(
        &self,
        flag: &str,
        value: &dyn std::fmt::Display,
        contains: impl Fn(&IpNet) -> bool,
    ) -> Result<usize, Failure> {
        self.subnet.iter().position(contains).ok_or_else(|| {
            let subnets: Vec<String> = self.subnet.iter().map(ToString::to_string).collect();
            let failure = Failure::new(format!("no subnet contains {flag} {value}"));
            match subnets.as_slice() {
                [] => failure
                    .why("no --subnet was given, and a free one is chosen later")
                    .hint(format!("--subnet along with {flag}, or leave both out")),
                [one] => failure
                    .why(format!("the network has the subnet {one}"))
                    .hint(format!("{flag} with a value inside {one}, or leave it out")),
                several => failure
                    .why(format!("the network has the subnets {}", several.join(", ")))
                    .hint(format!("{flag} with a value inside one of them, or leave it out")),
            }
        })
    }
}

fn config(subnet: &IpNet) -> IpamConfig {
    IpamConfig { subnet: subnet.to_string(), ..IpamConfig::default() }
}

fn set(what: &str, place: &mut String, value: &str, subnet: &IpNet) -> Result<(), Failure> {
    if !place.is_empty() {
        return Err(Failure::new(format!(
            "the subnet {subnet} has one {what}, and two were given"
        ))
        .why(format!("they are {place} and {value}"))
        .hint("leave one of them out"));
    }
    value.clone_into(place);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn subnets(line: &str) -> Result<serde_json::Value, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            flags: AddressFlags,
        }
        let words = std::iter::once("x").chain(line.split_whitespace());
        let line = <Line as clap::Parser>::try_parse_from(words).map_err(|e| e.to_string())?;
        let configs = line.flags.subnets().map_err(|failure| failure.to_string())?;
        Ok(serde_json::to_value(configs).expect("JSON"))
    }

    #[test]
    fn each_value_goes_to_the_subnet_that_contains_it() {
        let configs = subnets(
            "--gateway fd12::9 --subnet 10.7.0.0/16 --subnet fd12::/64 --ip-range 10.7.1.0/24 \
             --aux-address printer=10.7.0.8 --aux-address cam=fd12::8 --aux-address tv=10.7.0.7",
        );
        assert_eq!(
            configs,
            Ok(json!([
                {"Subnet": "10.7.0.0/16", "IPRange": "10.7.1.0/24",
                    "AuxiliaryAddresses": {"printer": "10.7.0.8", "tv": "10.7.0.7"}},
                {"Subnet": "fd12::/64", "Gateway": "fd12::9",
                    "AuxiliaryAddresses": {"cam": "fd12::8"}},
            ]))
        );
        let both = subnets("--subnet 10.7.0.0/16,fd12::/64").expect("as Docker's client reads it");
        assert_eq!(both[1], json!({"Subnet": "fd12::/64"}));
        assert_eq!(subnets(""), Ok(json!([])));
    }

    #[test]
    fn a_value_outside_every_subnet_is_named() {
        for (line, words) in [
            ("--gateway 10.8.0.1", "no subnet contains --gateway 10.8.0.1\n  why: no --subnet"),
            (
                "--subnet 10.7.0.0/16 --gateway 10.8.0.1",
                "contains --gateway 10.8.0.1\n  why: the network has the subnet 10.7.0.0/16\n  \
                 try: --gateway with a value inside 10.7.0.0/16",
            ),
            ("--subnet 10.7.0.0/16 --ip-range 10.0.0.0/8", "--ip-range 10.0.0.0/8"),
            (
                "--subnet 10.7.0.0/16 --subnet fd12::/64 --aux-address tv=10.8.0.1",
                "contains --aux-address tv=10.8.0.1\n  why: the network has the subnets \
                 10.7.0.0/16, fd12::/64",
            ),
            (
                "--subnet 10.7.0.0/16 --gateway 10.7.0.1 --gateway 10.7.0.2",
                "one gateway, and two were given\n  why: they are 10.7.0.1 and 10.7.0.2",
            ),
        ] {
            let error = subnets(line).expect_err(line);
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
