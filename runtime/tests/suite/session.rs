//! A session directly with the helper: an agent's view, without an agent.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crdt_state::spec::Template;
use crdt_state::task::{Run, TaskStart};
use runtime::copy::PathStat;
use runtime::exec::frame::{Decoder, Frame, Kind};
use runtime::exec::{ExecOrder, ExecRefusal, ExecRequest};

use super::host::{self, Host};

/// A session directly with the helper: an agent's view, without an agent.
pub struct Session {
    pub socket: UnixStream,
    decoder: Decoder,
    pub helper: std::process::Child,
}

/// The whole output of a session, and its end.
#[derive(Debug, Default)]
pub struct Said {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub code: Option<i32>,
    pub refusal: Option<ExecRefusal>,
    pub stat: Option<PathStat>,
}

impl Said {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Session {
    pub fn open(host: &Host, run: Run, order: &ExecRequest) -> Session {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let helper = Command::new(env!("CARGO_BIN_EXE_runtime-monitor"))
            .arg("enter")
            .arg(host.dir(run))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("the helper starts");
        let mut session = Session { socket: ours, decoder: Decoder::default(), helper };
        session.send(Kind::Order, &serde_json::to_vec(order).expect("JSON"));
        session
    }

    pub fn exec(host: &Host, run: Run, order: ExecOrder) -> Session {
        Session::open(host, run, &ExecRequest::Exec(order))
    }

    pub fn send(&mut self, kind: Kind, payload: &[u8]) {
        let _ = self.socket.write_all(&Frame::new(kind, payload).to_bytes());
    }

    pub fn next(&mut self) -> Option<Frame> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("frames") {
                return Some(frame);
            }
            match self.socket.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&bytes[..count]),
            }
        }
    }

    /// The process id of the command.
    pub fn started(&mut self) -> u32 {
        let frame = self.next().expect("it starts");
        assert_eq!(frame.kind, Kind::Started, "{}", String::from_utf8_lossy(&frame.payload));
        frame.number().expect("a process id") as u32
    }

    /// Reads stdout until this text has arrived.
    pub fn hear(&mut self, word: &str) -> String {
        let mut heard = String::new();
        while !heard.contains(word) {
            let frame = self.next().unwrap_or_else(|| panic!("the end before {word:?}: {heard:?}"));
            if frame.kind == Kind::Stdout {
                heard.push_str(&String::from_utf8_lossy(&frame.payload));
            }
        }
        heard
    }

    pub fn finish(mut self) -> Said {
        let mut said = Said::default();
        while let Some(frame) = self.next() {
            match frame.kind {
                Kind::Stdout => said.stdout.extend(frame.payload),
                Kind::Stderr => said.stderr.extend(frame.payload),
                Kind::Exited => said.code = frame.number(),
                Kind::Refused => {
                    said.refusal = Some(serde_json::from_slice(&frame.payload).expect("a refusal"));
                }
                Kind::Stat => {
                    said.stat = Some(serde_json::from_slice(&frame.payload).expect("a stat"));
                }
                _ => {}
            }
        }
        said
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.helper.wait();
    }
}

fn sleeper() -> TaskStart {
    let command = ["/bin/sh", "-c", "exec sleep 1000"].map(str::to_owned).to_vec();
    host::start(Template {
        command,
        env: vec!["COLOUR=blue".to_owned(), "SIZE=1".to_owned()],
        dir: Some("/usr".to_owned()),
        stop_grace_ms: 100,
        ..Template::default()
    })
}

/// A task that waits.
pub fn run_of(host: &mut Host) -> Run {
    let start = sleeper();
    host.run(&start);
    start.run
}
