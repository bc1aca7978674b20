//! `edgectl secret create`

use clap::Args;

use crate::client::Client;
use crate::config::create::read;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::value::{self, Pair};
use node_docker::config::{ConfigCreated, ConfigSpec, Data, Driver};

/// Flags and operands.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Label of the secret
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = value::label)]
    label: Vec<Pair>,
    /// Fill it in for each task: golang, for Go's templates
    #[arg(long, value_name = "DRIVER")]
    template_driver: Option<String>,
    /// Its name
    #[arg(value_name = "SECRET")]
    name: String,
    /// The file that it is made of; - is the standard input
    #[arg(value_name = "FILE")]
    file: String,
}

/// Makes it.
pub async fn run(args: CreateArgs, mut client: Client) -> Result<Exit, Failure> {
    let spec = ConfigSpec {
        name: args.name,
        labels: value::map(&args.label),
        data: Data(read(&args.file, "edgectl secret create NAME")?),
        templating: args.template_driver.map(|name| Driver { name, ..Driver::default() }),
        driver: None,
    };
    let created: ConfigCreated = client.post("/secrets/create", &spec).await?;
    print(&created.id)?;
    Ok(Exit::Done)
}
