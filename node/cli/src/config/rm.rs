//! `edgectl config rm`

use clap::Args;

use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::print;

/// Operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Configs, by name or id
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<String>,
}

/// Removes each config; a failure does not stop the others.
pub async fn run(args: RmArgs, client: Client) -> Result<Exit, Failure> {
    each("configs", &args.configs, client).await
}

/// The same for configs or secrets, by their part of the path.
pub async fn each(kind: &str, names: &[String], mut client: Client) -> Result<Exit, Failure> {
    let mut each = Each::new();
    for name in names {
        let removed = client.delete(&format!("/{kind}/{}", escape(name))).await;
        if each.take(removed).is_some() {
            print(name)?;
        }
    }
    Ok(each.exit())
}
