//! `edgectl node update`

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::client::Client;
use crate::dry_run::DryRunFlags;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::resolve;
use crate::value::{self, Pair};
use node_docker::node::NodeSpec;

/// Flags and operand.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("change")
    .required(true)
    .multiple(true)
    .args(["availability", "label_add", "label_rm"])))]
pub struct UpdateArgs {
    /// Node, by host name or id
    node: String,
    /// active: takes tasks; pause: keeps what it has; drain: its tasks go elsewhere
    #[arg(long, value_name = "AVAILABILITY",
        value_parser = PossibleValuesParser::new(["active", "pause", "drain"]))]
    availability: Option<String>,
    /// Add or change a label
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::label)]
    label_add: Vec<Pair>,
    /// Remove a label
    #[arg(long, value_name = "NAME")]
    label_rm: Vec<String>,
    #[command(flatten)]
    dry_run: DryRunFlags,
}

/// Reads the spec, changes it, and sends it back with the version that was read.
pub async fn run(args: UpdateArgs, mut client: Client) -> Result<Exit, Failure> {
    client.change_by(&args.dry_run);
    let node = resolve::node(&mut client, &args.node).await?;
    let spec = changed(&args, node.spec)?;
    client
        .send(&format!("/nodes/{}/update?version={}", node.id, node.version.index), &spec)
        .await?;
    print(&args.node)?;
    Ok(Exit::Done)
}

fn changed(args: &UpdateArgs, mut spec: NodeSpec) -> Result<NodeSpec, Failure> {
    if let Some(availability) = &args.availability {
        spec.availability.clone_from(availability);
    }
    for name in &args.label_rm {
        if spec.labels.remove(name).is_none() {
            let known: Vec<&str> = spec.labels.keys().map(String::as_str).collect();
            let failure = Failure::new(format!("there is no label {name:?} to remove"));
            return Err(failure.why(match known.as_slice() {
                [] => "the node has no label".to_owned(),
                known => format!("the node has {}", known.join(", ")),
            }));
        }
    }
    spec.labels.extend(args.label_add.iter().map(|pair| (pair.name.clone(), pair.value.clone())));
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;

    fn after(line: &[&str]) -> Result<NodeSpec, String> {
        let args: UpdateArgs = parse_for_tests(&[&["node", "update"], line, &["n1"]].concat())?;
        let mut spec = NodeSpec { availability: "active".to_owned(), ..NodeSpec::default() };
        spec.labels.insert("zone".to_owned(), "a".to_owned());
        changed(&args, spec).map_err(|failure| failure.to_string())
    }

    #[test]
    fn labels_and_availability_are_changed_and_nothing_else() {
        let spec = after(&["--availability", "drain"]).expect("valid");
        assert_eq!((spec.availability.as_str(), spec.labels.len()), ("drain", 1));
        let spec = after(&["--label-add", "x=1", "--label-rm", "zone"]).expect("valid");
        assert_eq!(spec.labels.into_iter().collect::<Vec<_>>(), [("x".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn nonsense_is_refused() {
        for (line, words) in [
            (&["--availability", "drian"][..], "drain"),
            (&["--label-rm", "y"], "the node has zone"),
            (&["--label-add", "=y"], "the name is missing"),
            (&[], "required arguments were not provided"),
        ] {
            let error = after(line).expect_err("refused");
            assert!(error.contains(words), "{line:?}: {error}");
        }
    }
}
