//! `edgectl image rm`

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::transfer::{Source, send};
use crate::cli::client::{Client, escape};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{print, say};

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

/// Removes each; what cannot be removed does not stop the others.
pub async fn run(args: RmArgs, client: Client) -> Result<Exit, Failure> {
    let mut last = None;
    for typed in &args.images {
        if let Some(failure) = last.take() {
            say(format!("error: {failure}"));
        }
        let path = format!("/images/{}?force={}", escape(typed), u8::from(args.force));
        match send(&client, Method::DELETE, &path, Source::empty()).await {
            Ok(answers) => answers.iter().try_for_each(print_gone)?,
            Err(failure) => last = Some(failure),
        }
    }
    last.map_or(Ok(Exit::Done), Err)
}

/// What went, in Docker's words.
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
