//! `edgectl stack config`: the files as one, with variables, `include` and `extends` resolved.

use clap::Args;

use super::files::{self, FileFlags, Read};
use crate::failure::{Exit, Failure};
use crate::output::{print, say};

/// Flags.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    files: FileFlags,
}

/// Prints it. Asks no agent.
pub fn run(args: &ConfigArgs) -> Result<Exit, Failure> {
    let read = Read::from(&args.files)?;
    let (mut tree, notes) = node_stack::merged(&read.input(None)).map_err(files::failure)?;
    for note in &notes {
        say(format!("note: {note}"));
    }
    // The file that is printed means the same when it is read.
    node_stack::interpolate::protect(&mut tree);
    print(node_stack::yaml::text(&tree))?;
    Ok(Exit::Done)
}
