//! Copies between a client's connection and the session of its command.
//!
//! ```text
//! client ── bytes as they are ──▶ stdin
//!        ◀── as they are (terminal), or Docker's frames ── stdout, stderr
//! ```
//! If a client closes its half, it has no more input; if it is gone, its command is ended. Errors
//! are reported in the stream itself, because its status was sent long ago.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{Stream, stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use runtime::exec::frame::{CHUNK_BYTES, Frame, Kind};
use runtime::exec::{ExecRefusal, ExecRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Api;
use super::clients::{Connection, ConnectionGuard};
use super::detach_keys::DetachKeys;
use super::execs::{Exec, ExecState};
use node_agent::{RunSession, SessionWriter};

/// The exit code of a command whose end is unknown; Docker's code for its own failures.
pub const CODE_GONE: i32 = 125;

/// The exit code of a command that was ended because its client was gone: 128 + SIGKILL.
const CODE_KILLED: i32 = 137;

/// A client without more input is checked this often: nothing else distinguishes a closed half from
/// a closed connection.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Chunks that wait for a client without an upgraded connection.
const CHUNKS_MAX: usize = 4;

/// A client's connection.
pub struct Client {
    /// What it sends; `None`: it only listens.
    pub input: Option<Input>,
    /// What it is sent.
    pub output: Output,
    /// Counts the connection until everything is sent.
    pub place: Option<ConnectionGuard>,
}

/// What a client sends.
pub struct Input {
    first: Bytes,
    half: OwnedReadHalf,
    socket: OwnedFd,
}

/// What a client is sent.
pub enum Output {
    /// An upgraded connection.
    Socket(OwnedWriteHalf),
    /// The body of an answer.
    Body(mpsc::Sender<Bytes>),
}

impl Client {
    /// Takes over an upgraded connection.
    pub fn of(upgraded: Upgraded) -> Result<Client, ()> {
        let parts = upgraded.downcast::<TokioIo<Connection>>().map_err(drop)?;
        let (socket, place) = parts.io.into_inner().into_parts();
        let copy = socket.as_fd().try_clone_to_owned().map_err(drop)?;
        let (half, output) = socket.into_split();
        let input = Input { first: parts.read_buf, half, socket: copy };
        Ok(Client { input: Some(input), output: Output::Socket(output), place: Some(place) })
    }

    /// A client that only listens: the output is the body of its answer.
    pub fn one_way() -> (Client, impl Stream<Item = Result<Bytes, Infallible>>) {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let body = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
            let chunk = receiver.recv().await?;
            Some((Ok::<_, Infallible>(chunk), receiver))
        });
        (Client { input: None, output: Output::Body(sender), place: None }, body)
    }
}

impl Output {
    /// False when the client is gone.
    pub async fn send(&mut self, bytes: Vec<u8>) -> bool {
        match self {
            Output::Socket(half) => half.write_all(&bytes).await.is_ok(),
            Output::Body(sender) => sender.send(bytes.into()).await.is_ok(),
        }
    }

    /// Nothing more will be sent.
    pub async fn close(self) {
        if let Output::Socket(mut half) = self {
            // An error means that the client is gone.
            let _ = half.shutdown().await;
        }
    }

    async fn gone(&self) {
        match self {
            Output::Socket(_) => std::future::pending().await,
            Output::Body(sender) => sender.closed().await,
        }
    }
}

impl Input {
    /// Passes on the client's input; returns when the client is gone.
    pub async fn pass_on(self, to: SessionWriter) {
        self.pass_on_until(DetachKeys::none(), to).await;
    }

    /// The same; returns also when the client types these keys.
    pub async fn pass_on_until(mut self, mut keys: DetachKeys, to: SessionWriter) {
        let mut chunk = self.first.to_vec();
        loop {
            let is_detached = keys.filter(&mut chunk);
            for part in chunk.chunks(CHUNK_BYTES) {
                if !to.send(&Frame::new(Kind::Stdin, part)).await {
                    // The command has ended; its last output is still on the way.
                    return std::future::pending().await;
                }
            }
            if is_detached {
                return;
            }
            chunk.resize(CHUNK_BYTES, 0);
            match self.half.read(&mut chunk).await {
                Ok(0) => break,
                Ok(count) => chunk.truncate(count),
                Err(_) => return,
            }
        }
        to.send(&Frame::new(Kind::End, [])).await;
        self.until_hung_up().await;
    }

    /// Returns when the client is gone; what it sends is not read.
    pub async fn until_hung_up(&self) {
        while !self.is_hung_up() {
            sleep(CHECK_INTERVAL).await;
        }
    }

    fn is_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
        poll(&mut fds, PollTimeout::ZERO).is_ok()
            && fds[0].revents().is_some_and(|seen| seen.intersects(hung_up))
    }
}

/// Runs a command for a client, and notes its exit code before the client can ask for it.
pub async fn serve(api: Api, id: String, exec: Exec, client: Client) {
    let Client { input, mut output, place } = client;
    let order = ExecRequest::Exec(exec.order.clone());
    let code = match api.handle.session(exec.node, exec.run, &order).await {
        Err(error) => tell(&mut output, &exec, &error.to_string(), CODE_GONE).await,
        Ok(mut session) => {
            let writer = session.writer();
            let listen = async {
                match input {
                    Some(input) => input.pass_on(writer).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                code = pass_back(&api, &id, &exec, &mut session, &mut output) => code,
                () = listen => CODE_KILLED,
            }
        }
    };
    api.execs.set(&id, ExecState::Ended { code });
    output.close().await;
    drop(place);
}

/// Passes on the command's output, until the command has ended or the client is gone; returns the
/// exit code.
async fn pass_back(
    api: &Api,
    id: &str,
    exec: &Exec,
    session: &mut RunSession,
    output: &mut Output,
) -> i32 {
    loop {
        let next = tokio::select! {
            next = session.next() => next,
            () = output.gone() => return CODE_KILLED,
        };
        let frame = match next {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                let error = node_agent::SessionGone::Cut.to_string();
                return tell(output, exec, &error, CODE_GONE).await;
            }
            Err(error) => return tell(output, exec, &error.to_string(), CODE_GONE).await,
        };
        match frame.kind {
            Kind::Stdout | Kind::Stderr => {
                let wanted = match frame.kind {
                    Kind::Stdout => exec.asked.attach_stdout,
                    _ => exec.asked.attach_stderr,
                };
                let bytes = if exec.asked.tty { frame.payload } else { frame.to_bytes() };
                if wanted && !output.send(bytes).await {
                    return CODE_KILLED;
                }
            }
            Kind::Started => {
                let pid = frame.number().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
                let writer = Some(session.writer());
                api.execs.set(id, ExecState::Running { pid, writer });
            }
            Kind::Exited => return frame.number().unwrap_or(CODE_GONE),
            Kind::Refused => {
                let refusal = serde_json::from_slice::<ExecRefusal>(&frame.payload);
                let (message, code) = match refusal {
                    Ok(refusal) => (refusal.message, refusal.code),
                    Err(error) => (error.to_string(), CODE_GONE),
                };
                return tell(output, exec, &message, code).await;
            }
            _ => {}
        }
    }
}

/// Reports an error in the stream.
async fn tell(output: &mut Output, exec: &Exec, message: &str, code: i32) -> i32 {
    let text = format!("cannot exec in {}: {message}\r\n", exec.task);
    let bytes = match exec.asked.tty {
        true => text.into_bytes(),
        false => Frame::new(Kind::Stderr, text).to_bytes(),
    };
    output.send(bytes).await;
    code
}
