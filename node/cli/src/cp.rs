//! `edgectl cp`: copies files into and out of a running task, on any node, with the rules of `cp`:
//! into an existing folder, else under the new name.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use bytes::Bytes;
use clap::Args;
use runtime::copy::{CopyError, Naming, pack_here, unpack_here};
use runtime::exec::frame::CHUNK_BYTES;
use tokio::sync::mpsc;

use super::client::{CallError, Client, Stream, escape};
use super::failure::{Exit, Failure};
use super::task::{self, Found};
use node_docker::path_stat::{ContainerPathStat, PATH_STAT_HEADER};

/// Pieces that wait for the slower side.
const PIECES_MAX: usize = 4;

/// Links to links that are followed, as in the kernel.
const LINKS_MAX: usize = 40;

/// Operands.
#[derive(Debug, Args)]
pub struct CpArgs {
    /// TASK:PATH, a path here, or - for a tar archive on standard input
    #[arg(allow_hyphen_values = true)]
    source: String,
    /// A path here, TASK:PATH, or - for a tar archive on standard output
    #[arg(allow_hyphen_values = true)]
    target: String,
    /// What is copied into the task belongs to the task's user
    #[arg(long)]
    own: bool,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side<'a> {
    Task(&'a str, &'a str),
    Here(&'a str),
    Pipe,
}

fn side(text: &str) -> Side<'_> {
    match text.split_once(':') {
        _ if text == "-" => Side::Pipe,
        Some((task, path)) if !task.is_empty() && !task.contains('/') && !task.starts_with('.') => {
            Side::Task(task, path)
        }
        _ => Side::Here(text),
    }
}

/// Copies.
pub async fn run(args: CpArgs, mut client: Client) -> Result<Exit, Failure> {
    match (side(&args.source), side(&args.target)) {
        (Side::Task(typed, path), Side::Here(target)) => {
            let task = task::find(&mut client, typed).await?;
            let name = named(path);
            check_folder(&mut client, &task, path, target).await?;
            let stream = client.stream(&archive(&task, path)).await?;
            fetch(stream, target, &name).await?;
        }
        (Side::Task(typed, path), Side::Pipe) => {
            let task = task::find(&mut client, typed).await?;
            let mut stream = client.stream(&archive(&task, path)).await?;
            while let Some(bytes) = stream.next().await? {
                io::stdout().lock().write_all(&bytes)?;
            }
        }
        (Side::Here(source), Side::Task(typed, path)) => {
            std::fs::symlink_metadata(source).map_err(|error| {
                Failure::new(format!("cannot copy {source}")).why(error.to_string())
            })?;
            let task = task::find(&mut client, typed).await?;
            let (folder, name) = place(&mut client, &task, source, path).await?;
            let source = PathBuf::from(source);
            let pieces =
                pieces(move |out| pack_here(&source, &name, out).map_err(io::Error::other));
            send(&mut client, &task, &folder, &args, pieces).await?;
        }
        (Side::Pipe, Side::Task(typed, path)) => {
            let task = task::find(&mut client, typed).await?;
            let pieces = pieces(|mut out| io::copy(&mut io::stdin().lock(), &mut out).map(drop));
            send(&mut client, &task, path, &args, pieces).await?;
        }
        (Side::Task(..), Side::Task(..)) => {
            return Err(Failure::new("both sides are tasks")
                .why("one of them must be here")
                .hint(format!("edgectl cp {} - | edgectl cp - {}", args.source, args.target)));
        }
        _ => {
            return Err(Failure::new("neither side is a task")
                .hint("edgectl cp web.2:/etc/hosts .")
                .hint("edgectl cp ./site web.2:/srv"));
        }
    }
    Ok(Exit::Done)
}

fn archive(task: &Found, path: &str) -> String {
    format!("/containers/{}/archive?path={}", task.id, escape(path))
}

/// The last part of a path, with which the entries of its archive begin.
fn named(path: &str) -> String {
    if path.ends_with("/.") || matches!(path, "" | "." | "/") {
        return ".".to_owned();
    }
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(".").to_owned()
}

/// A name with a slash at its end means a folder: if it does not exist, only a folder can be copied
/// to it.
async fn check_folder(
    client: &mut Client,
    task: &Found,
    path: &str,
    target: &str,
) -> Result<(), Failure> {
    if !target.ends_with('/') || Path::new(target).is_dir() {
        return Ok(());
    }
    match client.head(&archive(task, path), PATH_STAT_HEADER).await {
        Ok(text) if ContainerPathStat::from_header(&text).is_some_and(|stat| !stat.is_folder()) => {
            Err(Failure::new(format!("cannot copy to {target}"))
                .why("there is no such folder here")
                .hint("without the slash at the end, for a file of that name"))
        }
        // If it is missing or cannot be read, the following read reports that.
        _ => Ok(()),
    }
}

/// Unpacks what arrives.
async fn fetch(mut stream: Stream, target: &str, name: &str) -> Result<(), Failure> {
    let path = if Path::new(target).is_dir() { target.into() } else { followed_here(target)? };
    let (folder, naming) = if path.is_dir() {
        (path, Naming::Archive)
    } else {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new(".")).to_path_buf();
        let new = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let new = new.ok_or_else(|| Failure::new(format!("{target} is no name for a file")))?;
        let naming = if name == "." { Naming::Below(new) } else { Naming::Instead(new) };
        (parent, naming)
    };
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let unpacking = tokio::task::spawn_blocking(move || {
        unpack_here(&folder, naming, Pieces { receiver, piece: Bytes::new() })
    });
    let mut cut = None;
    loop {
        match stream.next().await {
            Ok(Some(bytes)) => {
                if sender.send(Ok(bytes)).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                let _ = sender.send(Err(io::Error::other(error.to_string()))).await;
                cut = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let unpacked = unpacking.await.map_err(|error| Failure::new(error.to_string()))?;
    match (cut, unpacked) {
        (Some(error), _) => Err(Failure::from(error)),
        (None, unpacked) => unpacked.map_err(|error| here(&error)),
    }
}

fn here(error: &CopyError) -> Failure {
    Failure::new("not everything was copied")
        .why(error.to_string().replace(" in the task", " here"))
}

/// The folder in the task, and the name in it: into an existing folder, else under a new name.
async fn place(
    client: &mut Client,
    task: &Found,
    source: &str,
    path: &str,
) -> Result<(String, String), Failure> {
    let path = if path.is_empty() { "/" } else { path };
    let folder = format!("{}/.", path.trim_end_matches('/'));
    let name = match named(source).as_str() {
        "." if source.ends_with("/.") => ".".to_owned(),
        "." | ".." => {
            let absolute = std::fs::canonicalize(source).map_err(|error| {
                Failure::new(format!("cannot copy {source}")).why(error.to_string())
            })?;
            named(&absolute.to_string_lossy())
        }
        name => name.to_owned(),
    };
    let found = client.head(&archive(task, &folder), PATH_STAT_HEADER).await;
    match found {
        Ok(text) if ContainerPathStat::from_header(&text).is_some_and(|stat| stat.is_folder()) => {
            Ok((folder, name))
        }
        Ok(_) | Err(CallError::Refused { status: 400 | 404, .. }) if path.ends_with('/') => {
            Err(Failure::new(format!("cannot copy {source}"))
                .why(format!("there is no folder {path} in the task"))
                .hint("without the slash at the end, for a file of that name"))
        }
        Ok(_) | Err(CallError::Refused { status: 400 | 404, .. }) => {
            let path = followed(client, task, path).await?;
            let (parent, new) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", &path));
            Ok((format!("{parent}/."), new.to_owned()))
        }
        Err(CallError::Refused { .. }) => {
            // Requested again, to get the message.
            let why = client.again().await?.stream(&archive(task, &folder)).await.err();
            Err(why.map_or_else(|| Failure::new("the task cannot be looked into"), Failure::from))
        }
        Err(error) => Err(Failure::from(error)),
    }
}

/// Follows links at the end of a path: their target is written, and the links stay.
async fn followed(client: &mut Client, task: &Found, path: &str) -> Result<String, Failure> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let found = client.head(&archive(task, &path), PATH_STAT_HEADER).await.ok();
        let link = found.and_then(|text| ContainerPathStat::from_header(&text));
        match link.map(|stat| stat.link_target).filter(|target| !target.is_empty()) {
            Some(target) => path = target,
            None => return Ok(path),
        }
    }
    Err(links_in_a_circle(&path))
}

/// The same on this machine.
fn followed_here(target: &str) -> Result<PathBuf, Failure> {
    let mut path = PathBuf::from(target);
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            // An absolute target replaces the whole path.
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(links_in_a_circle(target))
}

fn links_in_a_circle(path: &str) -> Failure {
    Failure::new(format!("cannot copy to {path}")).why("its links lead in a circle")
}

async fn send(
    client: &mut Client,
    task: &Found,
    folder: &str,
    args: &CpArgs,
    pieces: mpsc::Receiver<io::Result<Bytes>>,
) -> Result<(), Failure> {
    let own = u8::from(args.own);
    let path = format!("{}&noOverwriteDirNonDir=1&copyUIDGID={own}", archive(task, folder));
    Ok(client.put(&path, pieces).await?)
}

/// The output of `write`, which runs on a thread of its own, in pieces.
fn pieces(
    write: impl FnOnce(&mut io::BufWriter<Sender>) -> io::Result<()> + Send + 'static,
) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    thread::spawn(move || {
        let mut out = io::BufWriter::with_capacity(CHUNK_BYTES, Sender(sender.clone()));
        let written = write(&mut out).and_then(|()| out.flush());
        if let Err(error) = written {
            // If the receiver is gone, it has reported the reason.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

struct Sender(mpsc::Sender<io::Result<Bytes>>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_with_a_colon_is_a_task_unless_it_is_a_path() {
        assert_eq!(side("web.2:/etc"), Side::Task("web.2", "/etc"));
        assert_eq!(side("./a:b"), Side::Here("./a:b"));
        assert_eq!(side("/a:b"), Side::Here("/a:b"));
        assert_eq!(side("-"), Side::Pipe);
    }

    #[test]
    fn a_link_here_is_written_through() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink("second", path("first")).expect("a link");
        std::os::unix::fs::symlink(path("real"), path("second")).expect("a link");
        std::os::unix::fs::symlink("circle", path("circle")).expect("a link");
        let followed = |name| followed_here(path(name).to_str().expect("text"));
        assert_eq!(followed("first"), Ok(path("real")));
        assert_eq!(followed("new"), Ok(path("new")));
        assert!(followed("circle").is_err());
    }

    #[test]
    fn what_is_in_a_folder_is_asked_for_by_a_dot() {
        for (path, name) in [("/etc/", "etc"), ("/etc/.", "."), ("/", "."), ("a/b", "b")] {
            assert_eq!(named(path), name);
        }
    }
}
