//! `edgectl network create`

use clap::Args;

use super::ipam::AddressFlags;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{print, say};
use crate::value::{self, Pair};
use node_docker::network::{ConfigFrom, Ipam, NetworkCreate, NetworkCreated};

/// Flags and operand. Those that are hidden are Docker's: the agent says why it has no such thing.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name
    #[arg(value_name = "NETWORK")]
    name: String,
    /// There is one driver: overlay, which reaches all nodes
    #[arg(short, long, value_name = "DRIVER", default_value = "overlay")]
    driver: String,
    /// Setting: com.docker.network.driver.mtu=BYTES,
    /// com.docker.network.driver.overlay.vxlanid_list=NUMBER
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = value::label)]
    opt: Vec<Pair>,
    /// Label
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::label)]
    label: Vec<Pair>,
    /// Without a way out: its tasks reach only one another
    #[arg(long)]
    internal: bool,
    /// Containers that belong to no service may use it
    #[arg(long)]
    attachable: bool,
    #[command(flatten)]
    addresses: AddressFlags,
    /// Accepted for Docker's sake: there is one scope, swarm
    #[arg(long, value_name = "SCOPE", default_value = "", hide_default_value = true)]
    scope: String,
    /// Accepted for Docker's sake: there is one, default
    #[arg(long, value_name = "DRIVER", default_value = "default", hide_default_value = true)]
    ipam_driver: String,
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::label, hide = true)]
    ipam_opt: Vec<Pair>,
    #[arg(long, hide = true)]
    ingress: bool,
    #[arg(long, hide = true)]
    config_only: bool,
    #[arg(long, value_name = "NETWORK", hide = true)]
    config_from: Option<String>,
}

/// Makes it, and prints its id.
pub async fn run(args: CreateArgs, mut client: Client) -> Result<Exit, Failure> {
    let created: NetworkCreated = client.post("/networks/create", &request(args)?).await?;
    if !created.warning.is_empty() {
        say(format!("warning: {}", created.warning.trim_end()));
    }
    print(created.id)?;
    Ok(Exit::Done)
}

fn request(args: CreateArgs) -> Result<NetworkCreate, Failure> {
    let ipam_options = (!args.ipam_opt.is_empty()).then(|| value::map(&args.ipam_opt));
    let config = args.addresses.subnets()?;
    let ipam = Ipam { driver: args.ipam_driver, options: ipam_options, config };
    Ok(NetworkCreate {
        name: args.name,
        check_duplicate: true,
        driver: args.driver,
        scope: args.scope,
        enable_ipv4: args.addresses.ipv4,
        enable_ipv6: args.addresses.ipv6,
        ipam: Some(ipam),
        internal: args.internal,
        attachable: args.attachable,
        ingress: args.ingress,
        config_only: args.config_only,
        config_from: args.config_from.map(|network| ConfigFrom { network }),
        options: value::map(&args.opt),
        labels: value::map(&args.label),
        ..NetworkCreate::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;
    use node_docker::state::accept_network;
    use serde_json::json;

    fn sent(line: &str) -> Result<NetworkCreate, String> {
        let words: Vec<&str> = ["network", "create"].into_iter().chain(line.split(' ')).collect();
        request(parse_for_tests(&words)?).map_err(|failure| failure.to_string())
    }

    /// What the agent says to it.
    fn answer(line: &str) -> String {
        let body = serde_json::to_vec(&sent(line).expect(line)).expect("JSON");
        let read = node_docker::read(&body).expect("our own JSON");
        match accept_network(read) {
            Ok(request) => request.check().map_or_else(|bad| bad.to_string(), |()| String::new()),
            Err(bad) => bad.to_string(),
        }
    }

    #[test]
    fn flags_become_docker_s_request() {
        let request = sent(
            "-d overlay --subnet 10.7.0.0/16 --gateway 10.7.0.1 --ipv6=false --internal \
             --attachable -o encrypted --opt com.docker.network.driver.mtu=1400 --label tier=db \
             --label bare back",
        )
        .expect("valid");
        assert_eq!(
            serde_json::to_value(request).expect("JSON"),
            json!({
                "Name": "back", "CheckDuplicate": true, "Driver": "overlay", "Scope": "",
                "EnableIPv6": false,
                "IPAM": {"Driver": "default", "Options": null, "Config": [
                    {"Subnet": "10.7.0.0/16", "Gateway": "10.7.0.1"}]},
                "Internal": true, "Attachable": true, "Ingress": false, "ConfigOnly": false,
                "Options": {"encrypted": "", "com.docker.network.driver.mtu": "1400"},
                "Labels": {"tier": "db", "bare": ""},
            })
        );
    }

    #[test]
    fn what_the_agent_has_is_accepted() {
        for line in [
            "back",
            "--scope swarm --ipam-driver default back",
            "--ipv6 --ipv4=false --subnet fd12::/64 back",
            "-o com.docker.network.driver.overlay.vxlanid_list=5000 back",
        ] {
            assert_eq!(answer(line), "", "{line}");
        }
    }

    #[test]
    fn what_it_does_not_have_is_refused_with_what_to_type() {
        for (line, words) in [
            ("-d bridge back", "type --driver overlay"),
            ("--scope local back", "leave --scope out"),
            ("--ingress back", "leave --ingress out"),
            ("--config-only back", "leave --config-only and --config-from out"),
            ("--config-from base back", "leave --config-only and --config-from out"),
            ("--ipam-driver dhcp back", "leave it out"),
            ("--ipam-opt a=b back", "leave it out"),
            ("-o encryted back", "there is no such option"),
            ("host", "predefined"),
        ] {
            let said = answer(line);
            assert!(said.contains(words), "{line}: {said}");
        }
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_sent() {
        for (line, words) in [
            ("--subnet 10.7 back", "write it like 10.7.0.0/16"),
            ("--gateway gw back", "write it like 10.0.0.1"),
            ("--aux-address 10.7.0.9 back", "write it like printer=10.7.0.9"),
            ("--ipv6=maybe back", "true, false"),
            ("--gateway 10.7.0.1 back", "no subnet contains --gateway 10.7.0.1"),
            ("--internal", "<NETWORK>"),
        ] {
            let error = sent(line).expect_err(line);
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
