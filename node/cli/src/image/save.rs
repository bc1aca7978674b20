//! `edgectl image save`

use std::fs::File;
use std::io::{IsTerminal, Write};

use clap::Args;

use super::meter::Meter;
use crate::client::{Client, escape};
use crate::failure::{Exit, Failure};

/// Flags and operands.
#[derive(Debug, Args)]
pub struct SaveArgs {
    /// Write the archive to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Writes the archive under another name first, so that an existing file is complete.
pub async fn run(args: SaveArgs, client: Client) -> Result<Exit, Failure> {
    let names: Vec<_> = args.images.iter().map(|name| format!("names={}", escape(name))).collect();
    let Some(path) = &args.output else {
        if std::io::stdout().is_terminal() {
            return Err(Failure::new("an archive is not for a terminal")
                .hint("edgectl image save -o FILE IMAGE…"));
        }
        copy(client, &names, std::io::stdout().lock()).await?;
        return Ok(Exit::Done);
    };
    let draft = format!("{path}.part");
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot write {path}")).why(error.to_string());
    let file = File::create(&draft).map_err(failed)?;
    let copied = match copy(client, &names, &file).await {
        Ok(()) => file.sync_all().and_then(|()| std::fs::rename(&draft, path)).map_err(failed),
        Err(failure) => Err(failure),
    };
    if copied.is_err() {
        // The partial file is no archive.
        let _ = std::fs::remove_file(&draft);
    }
    copied.map(|()| Exit::Done)
}

async fn copy(client: Client, names: &[String], mut out: impl Write) -> Result<(), Failure> {
    let mut stream = client.stream(&format!("/images/get?{}", names.join("&"))).await?;
    let mut meter = Meter::new("received", None);
    while let Some(piece) = stream.next().await? {
        out.write_all(&piece)?;
        meter.advance(piece.len());
    }
    out.flush()?;
    Ok(())
}
