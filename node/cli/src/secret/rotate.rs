//! `edgectl secret rotate`

use clap::Args;

use super::{exposed_by, hostnames};
use crate::client::{Client, escape};
use crate::config::create::read;
use crate::failure::{Exit, Failure};
use crate::output::print;
use node_docker::config::{ConfigSpec, Data, Secret, SecretRotated};

/// Flags and operands.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// List what a node can read, and how to rotate each of it
    #[arg(long, value_name = "NODE", conflicts_with_all = ["name", "file"])]
    exposed_by: Option<String>,
    /// Its name or id
    #[arg(value_name = "SECRET", required_unless_present = "exposed_by")]
    name: Option<String>,
    /// The file with what is in it from now on; - is the standard input
    #[arg(value_name = "FILE", required_unless_present = "exposed_by")]
    file: Option<String>,
}

/// Rotates one, or says what is to be rotated.
pub async fn run(args: RotateArgs, mut client: Client) -> Result<Exit, Failure> {
    if let Some(node) = &args.exposed_by {
        return list(client, node).await;
    }
    let (name, file) = (args.name.unwrap_or_default(), args.file.unwrap_or_default());
    let data = Data(read(&file, "edgectl secret rotate NAME")?);
    let spec = ConfigSpec { data, ..ConfigSpec::default() };
    let path = format!("/edge/secrets/{}/rotate", escape(&name));
    let rotated: SecretRotated = client.post(&path, &spec).await?;
    print(&rotated.id)?;
    for service in &rotated.services {
        print(format!("{service} is being updated: edgectl service ps {service}"))?;
    }
    Ok(Exit::Done)
}

/// What is in a secret only its owner can give: there is one command for each.
async fn list(mut client: Client, node: &str) -> Result<Exit, Failure> {
    let secrets: Vec<Secret> = client.get("/secrets").await?;
    let mut exposed = exposed_by(&mut client, secrets, node).await?;
    exposed.sort_by(|a, b| a.secret.spec.name.cmp(&b.secret.spec.name));
    if exposed.is_empty() {
        print(format!("{node} can read no secret: nothing is to be rotated"))?;
    }
    for one in &exposed {
        let services = match one.services.is_empty() {
            true => "no service".to_owned(),
            false => one.services.join(", "),
        };
        let name = &one.secret.spec.name;
        print(format!(
            "edgectl secret rotate {name} FILE      used by {services}; read by {}",
            hostnames(&one.nodes)
        ))?;
    }
    Ok(Exit::Done)
}
