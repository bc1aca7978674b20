//! `edgectl image rm`

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::transfer::{Source, send};
use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::print;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Also one that tasks use, or that has several names
    #[arg(short, long)]
    force: bool,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Removes each image; a failure does not stop the others.
pub async fn run(args: RmArgs, client: Client) -> Result<Exit, Failure> {
    let mut each = Each::new();
    for typed in &args.images {
        let path = format!("/images/{}?force={}", escape(typed), u8::from(args.force));
        let tried = send(&client, Method::DELETE, &path, Source::empty()).await;
        each.take(tried).iter().flatten().try_for_each(print_gone)?;
    }
    Ok(each.exit())
}

/// Prints what was removed, in Docker's words.
pub fn print_gone(gone: &Value) -> Result<(), Failure> {
    for entry in gone.as_array().into_iter().flatten() {
        for word in ["Untagged", "Deleted"] {
            if let Some(what) = entry[word].as_str() {
                print(format!("{word}: {what}"))?;
            }
        }
    }
    Ok(())
}
