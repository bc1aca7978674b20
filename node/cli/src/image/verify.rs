//! `edgectl image verify`

use hyper::Method;

use super::transfer::{Source, send};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{print, say};

/// Prints what is damaged, and fails if anything is.
pub async fn run(client: Client) -> Result<Exit, Failure> {
    let answers = send(&client, Method::POST, "/edge/images/verify", Source::empty()).await?;
    let mut exit = Exit::Done;
    for damaged in answers.iter().filter_map(|answer| answer["Damaged"].as_array()).flatten() {
        print(damaged.as_str().unwrap_or_default())?;
        exit = Exit::Failed;
    }
    match exit {
        Exit::Done => say("all images are as they should be"),
        _ => say("what was damaged is gone; it is fetched or unpacked again when it is needed"),
    }
    Ok(exit)
}
