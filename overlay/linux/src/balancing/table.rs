//! One table in one namespace, and how to see that nobody else touched it.
//!
//! Each change of any rule in a namespace raises the kernel's generation number by one. So a change
//! of ours must raise it to the number expected, and as long as it stays there nothing has to be
//! compared. A change is one transaction. It must never be made from a listing.

use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use super::BalancingError;
use super::element::{
    Edit, Elements, Positions, additions, describe, strike_out, write_edits, write_question,
};
use super::expression::read_counted;
use super::layout::Layout;
use super::message::{DUMP, Messages, attribute, family, number, tables};
use super::socket::{NetfilterSocket, Refusal};

const GET_TABLE: u16 = 1;
const GET_RULE: u16 = 7;
const GET_GENERATION: u16 = 16;

/// Whether the kernel still holds what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intact {
    /// Yes.
    Yes,
    /// No, or nothing was written yet: the next `apply` writes everything.
    No,
}

/// One table in one namespace.
pub(super) struct Table {
    socket: NetfilterSocket,
    layout: Layout,
    /// The kernel's generation after our last change, if nobody else made one.
    generation: Option<u32>,
}

impl Table {
    /// Opens a namespace; changes nothing.
    pub(super) fn open(namespace: BorrowedFd<'_>, layout: Layout) -> Result<Self, BalancingError> {
        let socket = NetfilterSocket::open(namespace).map_err(BalancingError::Open)?;
        Ok(Self { socket, layout, generation: None })
    }

    /// Puts the table with these elements in place of whatever there is.
    ///
    /// One transaction would not suffice: the kernel asks the chains of a hook one after the other,
    /// the new one first. A packet that has passed it before the transaction takes effect, and meets
    /// the old one after that, is judged by neither. So an equal table stands in meanwhile.
    pub(super) fn replace(&mut self, elements: Elements) -> Result<(), BalancingError> {
        if !self.exists().map_err(BalancingError::Unanswered)? {
            return self.write_new(elements);
        }
        self.as_stand_in(|table| table.write(elements.clone()))?;
        let written = self.write(elements);
        let removed = self.as_stand_in(Table::erase);
        written.and(removed)
    }

    /// Does something with a table that is as this one and has another name.
    fn as_stand_in<T>(&mut self, act: impl FnOnce(&mut Table) -> T) -> T {
        let name = self.layout.table.clone();
        self.layout.table.push_str("-new");
        let done = act(self);
        self.layout.table = name;
        done
    }

    /// Puts the table with these elements in place of whatever there is, in one transaction: a packet
    /// on its way may be judged by neither, and none by both.
    pub(super) fn write(&mut self, elements: Elements) -> Result<(), BalancingError> {
        self.write_by(Layout::write, elements)
    }

    /// A removal, of nothing too, makes who waits for the kernel wait for milliseconds.
    fn write_new(&mut self, elements: Elements) -> Result<(), BalancingError> {
        self.write_by(Layout::write_new, elements)
    }

    fn write_by(
        &mut self,
        layout: impl Fn(&Layout, &mut Messages),
        elements: Elements,
    ) -> Result<(), BalancingError> {
        let mut edits: Vec<Edit> = additions(elements).collect();
        let mut transaction = Messages::transaction();
        layout(&self.layout, &mut transaction);
        self.generation = self.current_generation().ok();
        self.commit(transaction, &mut edits)
    }

    /// Changes elements, in one transaction.
    pub(super) fn edit(&mut self, mut edits: Vec<Edit>) -> Result<(), BalancingError> {
        if edits.is_empty() {
            return Ok(());
        }
        self.commit(Messages::transaction(), &mut edits)
    }

    fn commit(
        &mut self,
        mut transaction: Messages,
        edits: &mut [Edit],
    ) -> Result<(), BalancingError> {
        let Layout { table, maps, .. } = &self.layout;
        let positions = write_edits(&mut transaction, table, maps, edits);
        match self.socket.commit(transaction) {
            Ok(()) => {
                self.generation = self.generation.map(next_generation);
                Ok(())
            }
            Err(refusal) => {
                self.generation = None;
                Err(self.refused(refusal, &positions, edits))
            }
        }
    }

    fn refused(&self, refusal: Refusal, positions: &Positions, edits: &[Edit]) -> BalancingError {
        let edit = refusal.message.and_then(|message| positions.edit(message, refusal.offset));
        let what = match (edit, refusal.message) {
            (Some(edit), _) => describe(self.layout.maps, &edits[edit]),
            (None, Some(message)) => format!("message {message}"),
            (None, None) => return BalancingError::Unanswered(refusal.error),
        };
        let table = self.layout.table.clone();
        BalancingError::Refused { table, what, source: refusal.error }
    }

    /// Removes the table.
    pub(super) fn remove(&mut self) -> Result<(), BalancingError> {
        self.generation = None;
        // It is there if an agent was killed while it replaced the table.
        self.as_stand_in(Table::erase)?;
        self.erase()
    }

    fn erase(&mut self) -> Result<(), BalancingError> {
        let mut transaction = Messages::transaction();
        self.layout.write_removal(&mut transaction);
        self.commit(transaction, &mut [])
    }

    /// Whether nothing changed since the last change of ours: one short question.
    pub(super) fn is_untouched(&mut self) -> Result<bool, BalancingError> {
        let current = self.current_generation().map_err(BalancingError::Unanswered)?;
        Ok(self.generation == Some(current))
    }

    fn current_generation(&mut self) -> io::Result<u32> {
        let mut question = Messages::default();
        question.push(tables(GET_GENERATION), super::message::ACKNOWLEDGE, family::ANY, |_| ());
        let mut generation = None;
        self.socket.ask(question, |body| {
            generation = attribute(body, 1).and_then(number).or(generation);
        })?;
        generation.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Compares the kernel's elements and the number of rules with what was written.
    pub(super) fn compare(&mut self, expected: Elements) -> Result<Intact, BalancingError> {
        // Asked first: a change during the comparison shows at the next question.
        let generation = self.current_generation().map_err(BalancingError::Unanswered)?;
        let same = match self.holds(expected) {
            Ok(same) => same,
            // Somebody changed something meanwhile; the next question compares again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Intact::Yes),
            Err(error) if is_absent(&error) => false,
            Err(error) => return Err(BalancingError::Unanswered(error)),
        };
        self.generation = same.then_some(generation);
        Ok(if same { Intact::Yes } else { Intact::No })
    }

    fn holds(&mut self, mut expected: Elements) -> io::Result<bool> {
        let rules: usize = self.layout.chains.iter().map(|chain| chain.rules.len()).sum();
        if !self.exists()? || self.rules()? != rules {
            return Ok(false);
        }
        let mut same = true;
        for (index, map) in self.layout.maps.iter().enumerate() {
            let question = write_question(&self.layout.table, map);
            self.socket.ask(question, |body| same &= strike_out(&mut expected, index, body))?;
        }
        Ok(same && expected.is_empty())
    }

    fn exists(&mut self) -> io::Result<bool> {
        let mut question = Messages::default();
        let name = &self.layout.table;
        question.push(
            tables(GET_TABLE),
            super::message::ACKNOWLEDGE,
            self.layout.family,
            |table| {
                table.text(1, name);
            },
        );
        match self.socket.ask(question, |_| ()) {
            Ok(()) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rules(&mut self) -> io::Result<usize> {
        let mut question = Messages::default();
        let name = &self.layout.table;
        question.push(tables(GET_RULE), DUMP, self.layout.family, |rule| _ = rule.text(1, name));
        let mut rules = 0;
        self.socket.ask(question, |_| rules += 1)?;
        Ok(rules)
    }

    /// The packets that the rules of a chain counted since the table was written.
    pub(super) fn counted(&mut self, chain: &str) -> Result<u64, BalancingError> {
        let mut question = Messages::default();
        let name = &self.layout.table;
        question.push(tables(GET_RULE), DUMP, self.layout.family, |rule| {
            rule.text(1, name).text(2, chain);
        });
        let mut packets = 0;
        let listed = self.socket.ask(question, |body| {
            packets += attribute(body, 4).map(read_counted).unwrap_or_default();
        });
        match listed {
            Ok(()) => Ok(packets),
            Err(error) if is_absent(&error) => Ok(0),
            Err(error) => Err(BalancingError::Unanswered(error)),
        }
    }
}

/// The kernel leaves out the number 0.
fn next_generation(generation: u32) -> u32 {
    generation.checked_add(1).unwrap_or(1)
}

fn is_absent(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOENT as i32)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::Ipv4Addr;
    use std::os::fd::AsFd;

    use nix::sched::{CloneFlags, unshare};

    use super::super::chains::refuse_chain;
    use super::super::element::{Fields, Place, Value};
    use super::super::field::Field;
    use super::super::layout::{Holds, Map};
    use super::*;

    static MAPS: [Map; 1] =
        [Map { name: "services", key: &[Field::Address4], holds: Holds::Chain }];

    fn table() -> Table {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let namespace = File::open("/proc/thread-self/ns/net").unwrap();
        let chains = vec![refuse_chain()].into();
        let layout = Layout { family: family::INET, table: "t".into(), maps: &MAPS, chains };
        Table::open(namespace.as_fd(), layout).unwrap()
    }

    fn elements(count: u32, chain: impl Fn(u32) -> &'static str) -> Elements {
        let element = |number| {
            let key = Fields::default().address(Ipv4Addr::from(0x0a00_0000 + number).into());
            (Place { map: 0, key }, Value::Chain(chain(number).into()))
        };
        (0..count).map(element).collect()
    }

    #[test]
    fn a_refused_element_is_named_and_nothing_is_changed() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root, to make a network namespace");
            return;
        }
        let mut table = table();
        table.replace(elements(10, |_| "refuse")).unwrap();
        let chain = |number| if number == 777 { "nowhere" } else { "refuse" };
        let error = table.replace(elements(1000, chain)).unwrap_err();
        let named = "the kernel refuses `add services { 10.0.3.9 : goto nowhere }` in table t";
        assert!(error.to_string().starts_with(named), "{error}");
        assert_eq!(table.compare(elements(10, |_| "refuse")).unwrap(), Intact::Yes);
    }

    #[test]
    fn what_stood_in_is_removed_at_once_or_with_the_table() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root, to make a network namespace");
            return;
        }
        let mut table = table();
        let stands_in = |table: &mut Table| table.as_stand_in(|table| table.exists().unwrap());
        for _ in 0..2 {
            table.replace(elements(10, |_| "refuse")).unwrap();
            assert!(table.is_untouched().unwrap());
            assert!(!stands_in(&mut table));
        }
        // As an agent leaves it that is killed meanwhile.
        table.as_stand_in(|table| table.write(elements(10, |_| "refuse"))).unwrap();
        assert!(stands_in(&mut table));
        table.remove().unwrap();
        assert!(!stands_in(&mut table) && !table.exists().unwrap());
    }

    #[test]
    fn a_large_transaction_is_taken_as_a_whole() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root, to make a network namespace");
            return;
        }
        let mut table = table();
        table.replace(elements(30_000, |_| "refuse")).unwrap();
        assert_eq!(table.compare(elements(30_000, |_| "refuse")).unwrap(), Intact::Yes);
    }
}
