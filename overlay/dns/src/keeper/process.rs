//! The keeper itself: one thread that sleeps until an agent says something or ends.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::unistd::setsid;

use super::ANSWER_TIMEOUT;
use super::channel::{Channel, Message};

/// How long sockets are kept without an agent: a restart and an upgrade by hand take less.
const ALONE_MAX: Duration = Duration::from_secs(10);

/// Containers whose sockets are kept. An agent bounds its tasks long before.
const KEPT_MAX: usize = 16_384;

/// As `ps` shows it; the kernel keeps 15 characters.
const TITLE: &std::ffi::CStr = c"edgectl-keeper";

/// The keeper: the process whose standard input listens for agents. Ends the process.
pub fn keeper_main() -> ! {
    let code = match keep() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("edgectl keeper is started by the agent, not by hand ({error})");
            2
        }
    };
    std::process::exit(code)
}

fn keep() -> io::Result<()> {
    // A terminal's signals are for the agent. It fails for the leader of a session.
    let _ = setsid();
    let _ = prctl::set_name(TITLE);
    let listener = Channel::of(io::stdin().as_fd().try_clone_to_owned()?);
    let mut keeper =
        KeeperProcess { agent: None, alone_since: Instant::now(), kept: BTreeMap::new() };
    while keeper.next(&listener)? == Next::GoOn {}
    Ok(())
}

struct KeeperProcess {
    agent: Option<Channel>,
    alone_since: Instant,
    kept: BTreeMap<String, Vec<OwnedFd>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl KeeperProcess {
    fn next(&mut self, listener: &Channel) -> io::Result<Next> {
        let timeout = match &self.agent {
            Some(_) => PollTimeout::NONE,
            None => {
                let left = ALONE_MAX.saturating_sub(self.alone_since.elapsed());
                if left.is_zero() {
                    return Ok(Next::End);
                }
                // One millisecond more: the rest of the current one must not become a busy loop.
                PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut polled = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        polled.extend(self.agent.iter().map(|agent| PollFd::new(agent.as_fd(), PollFlags::POLLIN)));
        match poll(&mut polled, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Next::GoOn),
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |at: usize| polled.get(at).is_some_and(|fd| fd.any() == Some(true));
        let (is_called, is_told) = (is_ready(0), is_ready(1));
        // What the earlier agent said last comes before the next agent's question.
        if is_told {
            return Ok(self.hear());
        }
        if is_called {
            // The latest agent is the one that serves; an earlier one is about to end.
            let caller = listener.accept(ANSWER_TIMEOUT)?;
            self.agent = self.tell_all(&caller).ok().map(|()| caller);
            self.alone_since = Instant::now();
        }
        Ok(Next::GoOn)
    }

    fn hear(&mut self) -> Next {
        let heard = self.agent.as_ref().map(Channel::receive);
        let Some(Ok(Some(Message { text, fds }))) = heard else {
            (self.agent, self.alone_since) = (None, Instant::now());
            return Next::GoOn;
        };
        match text.split_once(' ') {
            None if text == "end" => return Next::End,
            Some(("keep", name)) if self.kept.len() < KEPT_MAX => {
                self.kept.insert(name.to_owned(), fds);
            }
            Some(("forget", name)) => drop(self.kept.remove(name)),
            _ => {}
        }
        Next::GoOn
    }

    fn tell_all(&self, caller: &Channel) -> io::Result<()> {
        for (name, fds) in &self.kept {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            caller.send(&format!("have {name}"), &fds)?;
        }
        caller.send("all", &[])
    }
}
