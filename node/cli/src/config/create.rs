//! `edgectl config create`

use std::io::{IsTerminal, Read};
use std::path::Path;

use clap::Args;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::value::{self, Pair};
use node_docker::config::{ConfigCreated, ConfigSpec, Data, Driver};

/// The most that is read: more than any config may have, so that the agent can say how much it is.
const BYTES_MAX: u64 = 4 << 20;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Label of the config
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = value::label)]
    label: Vec<Pair>,
    /// Fill it in for each task: golang, for Go's templates
    #[arg(long, value_name = "DRIVER")]
    template_driver: Option<String>,
    /// Its name
    #[arg(value_name = "CONFIG")]
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
        data: Data(read(&args.file, "edgectl config create NAME")?),
        templating: args.template_driver.map(|name| Driver { name, ..Driver::default() }),
        driver: None,
    };
    let created: ConfigCreated = client.post("/configs/create", &spec).await?;
    print(&created.id)?;
    Ok(Exit::Done)
}

/// Reads a file, or the standard input. `command` is what takes it, for messages.
pub fn read(file: &str, command: &str) -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    let read = if file == "-" {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            return Err(Failure::new("the standard input is a terminal")
                .why("- means that the data comes from there")
                .hint(format!("{command} - < FILE")));
        }
        stdin.lock().take(BYTES_MAX).read_to_end(&mut data)
    } else {
        let opened = std::fs::File::open(Path::new(file));
        opened.and_then(|opened| opened.take(BYTES_MAX).read_to_end(&mut data))
    };
    match read {
        Ok(_) => Ok(data),
        Err(error) => Err(Failure::new(format!("cannot read {file}"))
            .why(error.to_string())
            .hint(format!("{command} FILE, or - for the standard input"))),
    }
}
