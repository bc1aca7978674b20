//! The networks of a service: `create` sets them, `update` adds and removes some.
//!
//! Operators type names; a spec that is read back has ids. The agent says which id a name means,
//! so only what it does not know yet is sent as it was typed, for the agent to refuse.

use std::collections::BTreeMap;

use clap::Args;

use crate::client::{CallError, Client, escape};
use crate::failure::Failure;
use crate::value;
use node_docker::network::Network;
use node_docker::service::ServiceSpec;
use node_docker::task_spec::NetworkAttachment;

/// The network of services that name none.
pub const DEFAULT: &str = "default";

/// The networks of a new service.
#[derive(Debug, Default, Args)]
pub struct NewNetworks {
    /// Network, by name or id, also name=back,alias=db; or host (the node's own), or none
    /// [default: the network default]
    #[arg(long, value_name = "NETWORK", value_parser = value::attachment,
        help_heading = "Network")]
    network: Vec<NetworkAttachment>,
}

impl NewNetworks {
    /// Did the operator choose a network?
    pub fn is_chosen(&self) -> bool {
        !self.network.is_empty()
    }

    /// Sets them.
    pub fn apply(&self, networks: &mut Vec<NetworkAttachment>) -> Result<(), Failure> {
        for (at, network) in self.network.iter().enumerate() {
            let name = &network.target;
            if self.network[..at].iter().any(|before| before.target == *name) {
                return Err(Failure::new(format!("the network {name} is given twice"))
                    .hint(format!("--network name={name},alias=A,alias=B for several names")));
            }
        }
        networks.clone_from(&self.network);
        check_alone(networks, &KnownNetworks::default())
    }
}

/// What changes in the networks of a service.
#[derive(Debug, Default, Args)]
pub struct NetworkChanges {
    /// Add a network, or change how the service is on it; host and none stand alone: each takes
    /// the place of all others
    #[arg(long, value_name = "NETWORK", value_parser = value::attachment,
        help_heading = "Network")]
    network_add: Vec<NetworkAttachment>,
    /// Remove a network; without any the service is on the network default
    #[arg(long, value_name = "NETWORK", help_heading = "Network")]
    network_rm: Vec<String>,
}

impl NetworkChanges {
    /// Asks the agent for the networks that are named; asks nothing if there is no change.
    pub async fn look_up(&self, client: &mut Client) -> Result<KnownNetworks, Failure> {
        let added = self.network_add.iter().map(|network| network.target.as_str());
        let typed: Vec<&str> = added.chain(self.network_rm.iter().map(String::as_str)).collect();
        if typed.is_empty() {
            return Ok(KnownNetworks::default());
        }
        let mut known = KnownNetworks::all(client).await?;
        for name in typed {
            if let Some(id) = id_of(client, name).await? {
                known.ids.insert(name.to_owned(), id);
            }
        }
        Ok(known)
    }

    /// Makes the changes; removing a network that does not exist is an error, as in Docker.
    pub fn apply(
        &self,
        networks: &mut Vec<NetworkAttachment>,
        known: &KnownNetworks,
    ) -> Result<(), Failure> {
        let mut is_off_default = false;
        for typed in &self.network_rm {
            let id = known.id(typed);
            let is_meant = |held: &NetworkAttachment| held.target == id || held.target == *typed;
            let is_on = networks.iter().any(is_meant);
            if !is_on && !known.ids.contains_key(typed) {
                return Err(Failure::new(format!("there is no network {typed:?}"))
                    .hint("edgectl network ls"));
            }
            is_off_default |= is_on && known.name(id) == DEFAULT;
            networks.retain(|held| !is_meant(held));
        }
        if self.network_add.iter().any(is_alone) {
            networks.clear();
        } else if !self.network_add.is_empty() {
            networks.retain(|held| !is_alone(held));
        }
        for added in &self.network_add {
            let added =
                NetworkAttachment { target: known.id(&added.target).to_owned(), ..added.clone() };
            match networks.iter_mut().find(|held| held.target == added.target) {
                Some(held) => *held = added,
                None => networks.push(added),
            }
        }
        if is_off_default && networks.is_empty() {
            return Err(Failure::new("the network default is the last one of the service")
                .why("a service without any other network is on it")
                .hint("--network-add NETWORK along with it, or --network-add none"));
        }
        check_alone(networks, known)
    }
}

/// `host` and `none` take no other network beside them.
pub fn is_alone(network: &NetworkAttachment) -> bool {
    matches!(network.target.as_str(), "host" | "none")
}

fn check_alone(networks: &[NetworkAttachment], known: &KnownNetworks) -> Result<(), Failure> {
    let Some(alone) = networks.iter().find(|network| is_alone(network)) else { return Ok(()) };
    let Some(other) = networks.iter().find(|network| network.target != alone.target) else {
        return Ok(());
    };
    let (alone, other) = (&alone.target, known.name(&other.target));
    let meaning =
        if alone == "host" { "is the node's own network" } else { "is no network at all" };
    Err(Failure::new(format!("a service cannot be on the networks {alone} and {other} at once"))
        .why(format!("{alone} {meaning}"))
        .hint(format!("leave {alone} or {other} out")))
}

/// Networks as the agent knows them.
#[derive(Debug, Default)]
pub struct KnownNetworks {
    /// The id of each that was typed.
    ids: BTreeMap<String, String>,
    /// The name of each id.
    names: BTreeMap<String, String>,
}

impl KnownNetworks {
    /// The names of all networks.
    pub async fn all(client: &mut Client) -> Result<KnownNetworks, Failure> {
        let networks: Vec<Network> = client.get("/networks").await?;
        let names = networks.into_iter().map(|network| (network.id, network.name)).collect();
        Ok(KnownNetworks { ids: BTreeMap::new(), names })
    }

    /// With these ids and names.
    #[cfg(test)]
    pub fn of(networks: &[(&str, &str)]) -> KnownNetworks {
        let pair = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        KnownNetworks {
            ids: networks.iter().map(|(id, name)| pair((name, id))).collect(),
            names: networks.iter().copied().map(pair).collect(),
        }
    }

    fn id<'a>(&'a self, typed: &'a str) -> &'a str {
        self.ids.get(typed).map_or(typed, String::as_str)
    }

    /// The name of a network; its id if it is gone.
    pub fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}

async fn id_of(client: &mut Client, typed: &str) -> Result<Option<String>, Failure> {
    match client.get::<Network>(&format!("/networks/{}", escape(typed))).await {
        Ok(network) => Ok(Some(network.id)),
        Err(CallError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Is this service the only one on the network default? Not knowing is a no.
pub async fn is_first_on_default(client: &mut Client, spec: &ServiceSpec) -> bool {
    let path = format!("/networks/{DEFAULT}?verbose=true");
    client.get::<Network>(&path).await.is_ok_and(|network| has_only(&network, &spec.name))
}

fn has_only(network: &Network, service: &str) -> bool {
    network.services.len() == 1 && network.services.contains_key(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        networks: NetworkChanges,
    }

    /// `id(alias,alias)` of each network afterwards.
    fn after(before: &[&str], line: &str) -> Result<Vec<String>, String> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let known = KnownNetworks::of(&[("id-0", "default"), ("id-1", "back"), ("id-2", "front")]);
        let on = |id: &&str| NetworkAttachment { target: (*id).to_owned(), ..Default::default() };
        let mut held: Vec<NetworkAttachment> = before.iter().map(on).collect();
        line.networks.apply(&mut held, &known).map_err(|failure| failure.to_string())?;
        let show = |held: NetworkAttachment| match held.aliases.as_slice() {
            [] => held.target,
            aliases => format!("{}({})", held.target, aliases.join(",")),
        };
        Ok(held.into_iter().map(show).collect())
    }

    fn ok(before: &[&str], line: &str) -> String {
        after(before, line).expect(line).join(" ")
    }

    #[test]
    fn a_service_keeps_its_networks_when_another_is_added() {
        assert_eq!(ok(&["id-0"], "--network-add back --network-add front"), "id-0 id-1 id-2");
        assert_eq!(ok(&["id-0", "id-1"], "--network-rm default"), "id-1");
        assert_eq!(ok(&["id-1"], "--network-rm back --network-add front"), "id-2");
        assert_eq!(ok(&["id-1"], "--network-rm id-1"), "", "an id means itself");
    }

    #[test]
    fn adding_a_network_again_changes_how_the_service_is_on_it() {
        let line = "--network-add name=back,alias=db,alias=store";
        assert_eq!(ok(&["id-1", "id-2"], line), "id-1(db,store) id-2");
    }

    #[test]
    fn host_and_none_stand_alone() {
        assert_eq!(ok(&["host"], "--network-add back"), "id-1");
        assert_eq!(ok(&["id-1", "id-2"], "--network-add none"), "none");
        assert_eq!(ok(&["none"], "--network-add host"), "host");
        let error = after(&["id-0"], "--network-add host --network-add back").expect_err("two");
        assert!(error.contains("networks host and back at once"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_sent_for_the_agent_to_refuse() {
        assert_eq!(ok(&["id-0"], "--network-add bakc"), "id-0 bakc");
    }

    #[test]
    fn only_a_network_that_exists_can_be_removed() {
        assert_eq!(ok(&["id-0", "id-2"], "--network-rm back"), "id-0 id-2", "it is not on it");
        let error = after(&["id-0", "id-2"], "--network-rm bakc").expect_err("no such network");
        assert_eq!(error, "there is no network \"bakc\"\n  try: edgectl network ls");
        let error = after(&["id-0"], "--network-rm default").expect_err("it would come back");
        assert!(error.contains("try: --network-add NETWORK along with it"), "{error}");
    }

    #[tokio::test]
    async fn the_agent_says_which_network_a_name_means() {
        let answers: fake::Answers = &[
            ("GET /networks", 200, r#"[{"Id":"id-1","Name":"back"},{"Id":"id-2","Name":"a b"}]"#),
            ("GET /networks/back", 200, r#"{"Id":"id-1","Name":"back"}"#),
            ("GET /networks/a%20b", 200, r#"{"Id":"id-2","Name":"a b"}"#),
        ];
        let (mut client, asked) = fake::agent(answers).await;
        let line = ["x", "--network-add", "a b", "--network-add", "new", "--network-rm", "back"];
        let line = Line::try_parse_from(line).expect("valid");
        let known = line.networks.look_up(&mut client).await.expect("answers");
        assert_eq!((known.id("back"), known.id("a b"), known.id("new")), ("id-1", "id-2", "new"));
        assert_eq!((known.name("id-1"), known.name("id-9")), ("back", "id-9"));
        assert_eq!(asked.lines().len(), 4);

        let line = Line::try_parse_from(["x"]).expect("valid");
        line.networks.look_up(&mut client).await.expect("nothing is asked");
        assert_eq!(asked.lines().len(), 4, "an update of another thing asks for no network");
    }

    #[tokio::test]
    async fn only_who_may_be_surprised_by_the_default_is_looked_up() {
        let answers: fake::Answers =
            &[("POST /services/create?resolve=changed", 201, r#"{"ID":"x1"}"#)];
        let asked = async |flags: &[&str]| {
            let (client, asked) = fake::agent(answers).await;
            let line = [&["service", "create", "-d", "--name", "web"], flags].concat();
            let args = crate::parse_for_tests(&line).expect("valid");
            crate::service::create::run(args, client).await.expect("created");
            asked.lines().split_off(1)
        };
        assert_eq!(asked(&["nginx"]).await, ["GET /networks/default?verbose=true"]);
        for flags in [&["-q", "nginx"][..], &["--network", "back", "nginx"], &["process:/opt/x"]] {
            assert_eq!(asked(flags).await, Vec::<String>::new(), "{flags:?}");
        }
    }

    #[test]
    fn only_the_first_service_on_the_default_network_is_told() {
        let on = |names: &[&str]| Network {
            services: names.iter().map(|name| ((*name).to_owned(), Default::default())).collect(),
            ..Network::default()
        };
        assert!(has_only(&on(&["web"]), "web"));
        assert!(!has_only(&on(&["db", "web"]), "web"));
        assert!(!has_only(&on(&["db"]), "web"), "it is on the node's own network");
        assert!(!has_only(&on(&[]), "web"));
    }
}
