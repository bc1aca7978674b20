//! Two hosts and the link between them: what one host sends reaches the other at once, or is lost.

use crdt_state::ServiceId;
use node_core::{Action, Edit, Input};

use crate::host::{Host, addr, spec};

pub(crate) struct Pair {
    /// `pi-1` and `pi-2`.
    pub(crate) hosts: [Host; 2],
    /// Does what this host sends arrive?
    pub(crate) is_heard: [bool; 2],
    /// The lengths of the messages that `pi-1` sent.
    pub(crate) lengths: Vec<usize>,
}

fn number(host: usize) -> u8 {
    u8::try_from(host + 1).expect("two hosts")
}

impl Pair {
    /// Two members of one fleet that have compared their records.
    pub(crate) fn joined() -> Pair {
        Pair::of([Host::numbered(1), Host::numbered(2)])
    }

    /// These two, which are `pi-1` and `pi-2`.
    pub(crate) fn of(hosts: [Host; 2]) -> Pair {
        let mut pair = Pair { hosts, is_heard: [true, true], lengths: Vec::new() };
        pair.hosts[0].feed(Input::Join { addr: addr(2) });
        pair.wait(20_000);
        pair
    }

    /// A service of one task, pinned to `pi-1`, that runs there.
    pub(crate) fn with_a_task_on_the_first() -> (Pair, ServiceId) {
        let mut pair = Pair::joined();
        let mut web = spec("web", 1);
        web.placement.constraints = vec!["node.hostname==pi-1".into()];
        let id = pair.hosts[0].create(web);
        pair.wait(20_000);
        assert_eq!((pair.hosts[0].started.len(), pair.hosts[1].started.len()), (1, 0));
        pair.hosts[0].start_all();
        pair.wait(20_000);
        (pair, id)
    }

    /// The operator, at `pi-1`, pins the service to `pi-2`.
    pub(crate) fn move_to_the_second(&mut self, id: ServiceId) {
        let mut web = spec("web", 1);
        web.placement.constraints = vec!["node.hostname==pi-2".into()];
        let edit = Edit::UpdateService { id, version: None, spec: Box::new(web) };
        self.hosts[0].edit(edit).expect("updated");
    }

    /// Lets time pass for both; each has a clock of its own.
    pub(crate) fn wait(&mut self, ms: u64) {
        let starts = [self.hosts[0].now, self.hosts[1].now];
        loop {
            self.exchange();
            let due = |host: usize| self.hosts[host].node.deadline().since(starts[host]);
            let next = due(0).min(due(1));
            for (host, start) in self.hosts.iter_mut().zip(starts) {
                host.now = host.now.max(start.plus(next.min(ms)));
                if host.node.deadline() <= host.now {
                    host.feed(Input::TimerFired);
                }
            }
            if next > ms {
                return;
            }
        }
    }

    fn exchange(&mut self) {
        while self.hosts.iter().any(|host| !host.sent.is_empty()) {
            for from in 0..2 {
                for action in std::mem::take(&mut self.hosts[from].sent) {
                    self.deliver(from, action);
                }
            }
        }
    }

    fn deliver(&mut self, from: usize, action: Action) {
        let to = 1 - from;
        let ids = [self.hosts[0].node.me(), self.hosts[1].node.me()];
        if let (0, Action::SendMessage { bytes, .. }) = (from, &action) {
            self.lengths.push(bytes.len());
        }
        match action {
            Action::SendDatagram { bytes, .. } if self.is_heard[from] => {
                self.hosts[to].feed(Input::Datagram {
                    sender: ids[from],
                    from: addr(number(from)),
                    bytes,
                });
            }
            Action::SendMessage { bytes, .. } if self.is_heard[from] => {
                self.hosts[to].feed(Input::Message { from: ids[from], bytes });
            }
            Action::SendMessage { to, .. } => self.hosts[from].feed(Input::Undelivered { to }),
            Action::Connect { addr: called } if called == addr(number(to)) => {
                for (host, other) in [(from, to), (to, from)] {
                    let (node, addr) = (ids[other], addr(number(other)));
                    self.hosts[host].feed(Input::Connected { node, addr });
                }
            }
            _ => {}
        }
    }
}
