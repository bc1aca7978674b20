//! `edgectl exec`: runs a command in a running task on any node as if it ran here, with input,
//! output, terminal and exit code.

use std::io::Write;

use clap::Args;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use runtime::exec::frame::{CHUNK_BYTES, Decoder, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::signal::unix::{SignalKind, signal};

use super::client::Client;
use super::failure::{Exit, Failure};
use super::terminal::{self, Raw};
use super::{output, task};
use node_docker::exec::{ExecCreate, ExecCreated, ExecInspect, ExecStart};

/// A shell's exit code for a command that was told to end: 128 + SIGTERM.
const CODE_TERMINATED: u8 = 143;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Pass standard input on, also when it is not typed
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Return at once; it runs until it ends or its task does
    #[arg(short, long, conflicts_with_all = ["interactive", "tty"])]
    detach: bool,
    /// Set a variable, or pass one on from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Run it as another user: name or uid, with :group or :gid
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Run it in another folder
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// With every capability
    #[arg(long)]
    privileged: bool,
    /// The task: web.2, its id, or a service that has one task
    task: String,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

/// Runs the command, and exits with its code.
pub async fn run(args: ExecArgs, mut client: Client) -> Result<Exit, Failure> {
    if args.tty && args.interactive && !terminal::is_terminal() {
        return Err(Failure::new("the input is no terminal")
            .why("-it gives the command the terminal that is typed into, and there is none")
            .hint("edgectl exec -i …, to pass input on without one"));
    }
    let found = task::find(&mut client, &args.task).await?;
    let size = terminal::size().filter(|_| args.tty).map(|size| [size.rows, size.columns]);
    let asked = ExecCreate {
        attach_stdin: args.interactive,
        attach_stdout: !args.detach,
        attach_stderr: !args.detach,
        tty: args.tty,
        env: args.env.iter().map(|entry| with_value(entry)).collect(),
        cmd: args.command.clone(),
        privileged: args.privileged,
        user: args.user.clone().unwrap_or_default(),
        working_dir: args.workdir.clone().unwrap_or_default(),
        console_size: size,
    };
    let created: ExecCreated =
        client.post(&format!("/containers/{}/exec", found.id), &asked).await?;
    let path = format!("/exec/{}", created.id);
    let start = ExecStart { detach: args.detach, tty: args.tty, console_size: size };
    if args.detach {
        client.send(&format!("{path}/start"), &start).await?;
        return Ok(Exit::Done);
    }
    let stream = client.again().await?.upgrade(&format!("{path}/start"), &start).await?;
    attach(stream, &args, &path, &client).await?;
    let ended: ExecInspect = client.get(&format!("{path}/json")).await?;
    match ended.exit_code {
        Some(code) => Ok(Exit::Code(u8::try_from(code).unwrap_or(u8::MAX))),
        None => Err(Failure::new("the agent went away in the middle")
            .why("how the command ended is not known")
            .hint("edgectl doctor")),
    }
}

/// A name without a value takes its value from this environment.
fn with_value(entry: &str) -> String {
    match (entry.contains('='), std::env::var(entry)) {
        (false, Ok(value)) => format!("{entry}={value}"),
        _ => entry.to_owned(),
    }
}

/// Passes input and output on until the command has ended.
async fn attach(
    stream: TokioIo<Upgraded>,
    args: &ExecArgs,
    path: &str,
    client: &Client,
) -> Result<(), Failure> {
    let (reader, writer) = tokio::io::split(stream);
    // Before the first key arrives; restored at the end, also after an error.
    let raw = if args.tty && args.interactive { Raw::enter() } else { None };
    let input = async {
        if args.interactive {
            pass_on(writer).await;
        } else {
            let mut writer = writer;
            // Signals the end of the input. The connection stays open, because otherwise the agent
            // would take the client for gone.
            let _ = writer.shutdown().await;
        }
        std::future::pending::<()>().await;
    };
    let sizes = async {
        if args.tty {
            follow_size(path, client).await;
        }
        std::future::pending::<()>().await;
    };
    let shape = if args.tty { Shape::Raw } else { Shape::Framed };
    let said = tokio::select! {
        said = copy_out(reader, shape) => said,
        () = input => Ok(()),
        () = sizes => Ok(()),
        // The command ends with the connection, and the terminal is restored.
        () = told_to_end() => Err(Failure::new("").exit(Exit::Code(CODE_TERMINATED))),
    };
    drop(raw);
    said
}

async fn told_to_end() {
    let signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
    let [Ok(mut end), Ok(mut hangup), Ok(mut interrupt)] = signals.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = end.recv() => {}
        _ = hangup.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Standard input is read on a thread of its own: reading it cannot be cancelled.
async fn pass_on(mut writer: WriteHalf<TokioIo<Upgraded>>) {
    let (chunks, mut typed) = tokio::sync::mpsc::channel::<Vec<u8>>(2);
    std::thread::spawn(move || {
        use std::io::Read;
        let mut stdin = std::io::stdin().lock();
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count) = stdin.read(&mut chunk) {
            if count == 0 || chunks.blocking_send(chunk[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    while let Some(chunk) = typed.recv().await {
        if writer.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
    // Dropping the writer would close more than this half.
    std::future::pending::<()>().await;
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The bytes of a terminal.
    Raw,
    /// Frames that separate the two streams.
    Framed,
}

async fn copy_out(mut reader: ReadHalf<TokioIo<Upgraded>>, shape: Shape) -> Result<(), Failure> {
    let mut decoder = Decoder::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = match reader.read(&mut chunk).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => count,
        };
        if shape == Shape::Raw {
            let mut out = std::io::stdout().lock();
            out.write_all(&chunk[..count])?;
            out.flush()?;
            continue;
        }
        decoder.push(&chunk[..count]);
        let no_frame = |error: runtime::exec::frame::NoFrame| Failure::new(error.to_string());
        while let Some(frame) = decoder.next_frame().map_err(no_frame)? {
            if frame.kind == Kind::Stderr {
                std::io::stderr().lock().write_all(&frame.payload)?;
            } else {
                let mut out = std::io::stdout().lock();
                out.write_all(&frame.payload)?;
                out.flush()?;
            }
        }
    }
}

/// Sends the size of the terminal whenever it changes.
async fn follow_size(path: &str, client: &Client) {
    let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
    while changed.recv().await.is_some() {
        let Some(size) = terminal::size() else { continue };
        let Ok(mut client) = client.again().await else { return };
        let resize = format!("{path}/resize?h={}&w={}", size.rows, size.columns);
        if let Err(error) = client.send(&resize, &()).await {
            output::say(format!("warning: the terminal keeps its size: {error}\r"));
        }
    }
}
