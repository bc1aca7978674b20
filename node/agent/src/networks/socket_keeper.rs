//! The keeper of this node's name servers' sockets, as the agent uses it: with it, a container that
//! asks while the agent is restarted is answered late; without it, it is refused meanwhile.

use std::path::{Path, PathBuf};

use crdt_state::task::Run;
use overlay_dns::{Keeper, KeptSockets, NameServer, Sockets};
use runtime::run_dir;

/// Our own binary, even after the file was replaced on the disk.
const PROGRAM: &str = "/proc/self/exe";

/// Finds the keeper, and starts it when there is something to keep.
pub(super) struct SocketKeeper {
    /// Of its socket.
    directory: PathBuf,
    keeper: Option<Keeper>,
    /// What an earlier agent kept, until it is taken.
    left: KeptSockets,
    /// It could not be started, which has been told.
    has_failed: bool,
}

impl SocketKeeper {
    /// Takes over what an earlier agent kept. Starts nothing.
    pub(super) fn find(directory: &Path) -> SocketKeeper {
        let (keeper, left) = Keeper::find(directory).unzip();
        let left = left.unwrap_or_default();
        SocketKeeper { directory: directory.to_owned(), keeper, left, has_failed: false }
    }

    /// The sockets that an earlier agent kept for a task.
    pub(super) fn take(&mut self, run: Run) -> Option<Sockets> {
        self.left.remove(&run_dir::name(run))
    }

    /// Keeps the sockets of one server, if there is a keeper yet.
    pub(super) fn keep(&mut self, run: Run, server: &NameServer) {
        let keeper = self.keeper.as_ref();
        let kept = keeper.map(|keeper| keeper.keep(&run_dir::name(run), server.sockets()));
        if let Some(Err(_)) = kept {
            self.lose();
        }
    }

    /// Closes the sockets of a task that is over.
    pub(super) fn forget(&self, run: Run) {
        if let Some(keeper) = &self.keeper {
            keeper.forget(&run_dir::name(run));
        }
    }

    /// Makes sure that the sockets of all servers are kept, and none of a task that is not known.
    pub(super) fn keep_all<'a>(
        &mut self,
        servers: impl ExactSizeIterator<Item = (Run, &'a NameServer)>,
        is_known: impl Fn(Run) -> bool,
    ) {
        let is_foreign = |name: &str| run_dir::parse_name(name).is_none_or(|run| !is_known(run));
        for (name, _) in self.left.extract_if(.., |name, _| is_foreign(name)) {
            if let Some(keeper) = &self.keeper {
                keeper.forget(&name);
            }
        }
        if servers.len() == 0 && self.left.is_empty() {
            return self.end();
        }
        if self.keeper.as_ref().is_some_and(|keeper| !keeper.is_alive()) {
            tracing::warn!(
                "networks: the keeper of name servers' sockets ended; it is started again"
            );
            self.lose();
        }
        if self.keeper.is_some() {
            return;
        }
        match Keeper::start(Path::new(PROGRAM), &self.directory) {
            Ok(keeper) => {
                (self.keeper, self.has_failed) = (Some(keeper), false);
                servers.for_each(|(run, server)| self.keep(run, server));
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(
                        "networks: no process keeps the sockets of name servers ({error}): while \
                         this agent is restarted, containers' queries are refused"
                    );
                }
            }
        }
    }

    /// Closes what is kept, and ends the keeper.
    pub(super) fn end(&mut self) {
        self.left.clear();
        self.lose();
    }

    fn lose(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.end();
        }
    }
}
