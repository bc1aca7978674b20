//! `edgectl stack sync`: a folder of Compose files that every node has. All nodes are one writer: the
//! first that has a version of a file makes it, the others see that it is made.
//!
//! Which versions this node had is kept in a file of its own: a copy that is late is told from one that
//! was changed back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use node_docker::stack::{StackAnswer, StackAsk};
use node_stack::interpolate::Variables;
use node_stack::{File, Files as _, Stack, env_file};
use serde::{Deserialize, Serialize};

use super::files::Disk;
use super::{DeployFlags, deploy};
use crate::apply;
use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::say;
use crate::value;

/// How often the fleet is asked meanwhile.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// Flags and operands.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Where the versions are kept that this node had
    #[arg(long, value_name = "FILE", default_value = "/var/lib/edgectl/stacks.json")]
    state: PathBuf,
    /// How long another node has for what it began, before this one does it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = value::duration)]
    wait: Duration,
    /// The folder: each `.yaml` or `.yml` is a stack, named by its `name` or its file; those whose name
    /// begins with `_` or `.` are left out
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// What this node had, by stack.
type Had = BTreeMap<String, Seen>;

/// A version that this node had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    version: String,
}

/// Makes what is to be made. A file with a fault is told, and its stack stays as it is.
pub async fn run(args: SyncArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut had = read_state(&args.state)?;
    let before = had.clone();
    let mut each = Each::new();
    let variables = variables(&args.folder)?;
    let files = files(&args.folder)?;
    let count = files.len();
    let read = files.iter().filter_map(|file| each.take(apply::read(file, &variables)));
    let stacks: Vec<Stack> = read.collect();
    apply::different_names(&stacks)?;
    for stack in &stacks {
        let synced = sync(&mut client, stack, &mut had, args.wait).await;
        client.create_from(None);
        each.take(synced);
    }
    // Of a file with a fault the stack's name is not known.
    if stacks.len() == count {
        had.retain(|name, _| {
            let is_there = stacks.iter().any(|stack| stack.name == *name);
            if !is_there {
                say(format!(
                    "{name}: its file is gone, its services stay: edgectl stack rm {name}"
                ));
            }
            is_there
        });
    }
    if had != before {
        write_state(&args.state, &had)?;
    }
    Ok(each.exit())
}

async fn sync(
    client: &mut Client,
    stack: &Stack,
    had: &mut Had,
    wait: Duration,
) -> Result<(), Failure> {
    let name = &stack.name;
    let version: String = stack.version().iter().map(|byte| format!("{byte:02x}")).collect();
    let before = had.get(name).map(|seen| seen.version.clone());
    let mut ask = StackAsk { version: version.clone(), before: before.unwrap_or_default() };
    let path = format!("/edge/stacks/{}", escape(name));
    let take = format!("{path}/take");
    let mut answer: StackAnswer = client.post(&take, &ask).await?;
    // From here on the fleet knows that this node has it, whatever becomes of the rest.
    had.insert(name.clone(), Seen { version: version.clone() });
    ask.before = version;
    let since = Instant::now();
    while answer.task == "finish" && since.elapsed() < wait {
        tokio::time::sleep(ASK_INTERVAL).await;
        answer = client.post(&take, &ask).await?;
    }
    match answer.task.as_str() {
        "make" | "finish" => {}
        "late" => {
            say(format!("{name}: this copy of its file is late, the fleet has another version"));
            return Ok(());
        }
        _ => return Ok(()),
    }
    say(format!("{name}: version {} of its file, turn {}", &ask.version[..12], answer.turn));
    client.create_from(Some(answer.origin));
    match deploy(client, stack, &DeployFlags::of_folder()).await? {
        Exit::Done => {}
        other => {
            return Err(Failure::new(format!("not all of {name} is as its file says"))
                .why("it is tried again")
                .exit(other));
        }
    }
    client.create_from(None);
    client.post::<_, StackAnswer>(&format!("{path}/made"), &ask).await?;
    Ok(())
}

/// The files of the folder, by name.
fn files(folder: &Path) -> Result<Vec<File>, Failure> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::new(format!("cannot read {}", path.display())).why(error.to_string())
    };
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let is_left_out = name.is_none_or(|name| name.starts_with(['_', '.']));
        if is_yaml && !is_left_out && path.is_file() {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            files.push(File { path, text });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Those of `.env` in the folder alone: what the shell has is not the same on every node.
fn variables(folder: &Path) -> Result<Variables, Failure> {
    let path = folder.join(".env");
    if !path.exists() {
        return Ok(Variables::new());
    }
    let text = Disk.read(&path).map_err(|why| Failure::new("cannot read .env").why(why))?;
    let read = env_file::parse(&text, env_file::Form::Quoted, &Variables::new());
    let read = read.map_err(|bad| Failure::new(format!("{}, {bad}", path.display())))?;
    Ok(read.into_iter().collect())
}

fn read_state(path: &Path) -> Result<Had, Failure> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Had::new()),
        Err(error) => {
            return Err(
                Failure::new(format!("cannot read {}", path.display())).why(error.to_string())
            );
        }
    };
    serde_json::from_slice(&bytes).map_err(|bad| {
        Failure::new(format!("{} is damaged", path.display())).why(bad.to_string()).hint(format!(
            "rm {}: then this node counts as one that had no file yet",
            path.display()
        ))
    })
}

/// A file that is cut off by a power loss would say that this node had nothing.
fn write_state(path: &Path, had: &Had) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(had).expect("names and versions have a form in JSON");
    let new = path.with_added_extension("new");
    let write = || {
        let file = std::fs::File::create(&new)?;
        std::io::Write::write_all(&mut &file, &text)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|error| {
        Failure::new(format!("cannot write {}", path.display()))
            .why(error.to_string())
            .hint("--state FILE, a file that this user may write")
    })
}
