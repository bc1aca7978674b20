//! Faults: what goes wrong, and from when until when.
//!
//! All faults of a run are drawn before it begins, each nemesis from a stream of its own. So the
//! faults do not depend on what the nodes do, and every fault ends at a known time.

use std::collections::BTreeSet;
use std::fmt;

use gossip::STRANGERS_MAX;

use crate::dice::Dice;
use crate::network::{LinkConditions, MachineNo};

/// A family of faults. Each seed has some of them, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nemesis {
    /// The fleet is partitioned into two parts.
    Halves,
    /// The fleet is partitioned into three parts.
    Thirds,
    /// The fleet is partitioned into two parts, and one machine reaches both.
    Bridge,
    /// Single links fail in one direction.
    OneWay,
    /// Random links fail one by one and are restored in another order.
    Swizzle,
    /// Datagrams are lost, duplicated, delayed and reordered.
    Storm,
    /// Agents are killed and started again; their tasks keep running.
    AgentCrash,
    /// Machines lose power.
    PowerCut,
    /// Machines lose power and come back with an empty disk.
    DiskLost,
    /// Each write of a disk takes 2 seconds longer.
    DiskStall,
    /// A machine handles everything late.
    Slow,
    /// A machine stands still for a while.
    Pause,
    /// The time of day jumps.
    ClockJump,
    /// Programs are killed.
    ProgramKill,
    /// Machines get a new address.
    Roam,
    /// Machines leave the fleet and join again.
    Leave,
    /// Bytes that no node has sent arrive.
    Junk,
    /// A member signs records that no operator could write.
    Poison,
    /// Machines lose power and come back with an older copy of their store.
    Restore,
    /// Many machines that never become members call one.
    Strangers,
    /// A member lies about others, about itself and about its records.
    Lies,
}

impl Nemesis {
    /// All of them.
    pub const ALL: [Nemesis; 21] = [
        Nemesis::Halves,
        Nemesis::Thirds,
        Nemesis::Bridge,
        Nemesis::OneWay,
        Nemesis::Swizzle,
        Nemesis::Storm,
        Nemesis::AgentCrash,
        Nemesis::PowerCut,
        Nemesis::DiskLost,
        Nemesis::DiskStall,
        Nemesis::Slow,
        Nemesis::Pause,
        Nemesis::ClockJump,
        Nemesis::ProgramKill,
        Nemesis::Roam,
        Nemesis::Leave,
        Nemesis::Junk,
        Nemesis::Poison,
        Nemesis::Restore,
        Nemesis::Strangers,
        Nemesis::Lies,
    ];
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// These links, each in one direction, are cut.
    Cut(Vec<(MachineNo, MachineNo)>),
    /// The conditions of these links are worse.
    LinkConditions(Vec<(MachineNo, MachineNo)>, LinkConditions),
    /// The agent is killed; its tasks keep running.
    AgentDown(MachineNo),
    /// The machine has no power.
    PowerDown(MachineNo),
    /// The machine has no power, and an empty disk when the power is back.
    DiskLost(MachineNo),
    /// Each write takes this many milliseconds longer.
    DiskStall(MachineNo, u64),
    /// Everything is handled this many milliseconds later.
    Slow(MachineNo, u64),
    /// Nothing is handled until the end; everything waits.
    Pause(MachineNo),
    /// The time of day is off by this many milliseconds from now on. Has no end.
    ClockJump(MachineNo, i64),
    /// One of its programs is killed. Has no end.
    ProgramKill(MachineNo),
    /// It has another address from now on. Has no end.
    Roam(MachineNo),
    /// It is told to leave the fleet; at the end of the fault its agent is started again.
    Leave(MachineNo),
    /// This many packets of nonsense reach it. Has no end.
    Junk(MachineNo, u64),
    /// This many records beyond a limit, signed by a member, reach it. Has no end.
    Poison(MachineNo, u64),
    /// This many machines that never become members connect to it. Has no end.
    Strangers(MachineNo, u64),
    /// Another member tells it this many lies. Has no end.
    Lies(MachineNo, u64),
    /// A copy of its store is made. Has no end.
    StoreCopied(MachineNo),
    /// The machine has no power, and the copied store when the power is back.
    StoreRestored(MachineNo),
}

impl Harm {
    /// Does it happen at one moment, without an end?
    pub fn has_no_end(&self) -> bool {
        matches!(
            self,
            Harm::ClockJump(..)
                | Harm::ProgramKill(_)
                | Harm::Roam(_)
                | Harm::Junk(..)
                | Harm::Poison(..)
                | Harm::Strangers(..)
                | Harm::Lies(..)
                | Harm::StoreCopied(_)
        )
    }

    /// The machines that it disturbs. Clock jumps, junk, poison, strangers, lies and copies of a
    /// store should disturb no machine.
    pub fn disturbs(&self) -> BTreeSet<MachineNo> {
        match self {
            Harm::Cut(links) | Harm::LinkConditions(links, _) => {
                links.iter().flat_map(|(from, to)| [*from, *to]).collect()
            }
            Harm::AgentDown(machine)
            | Harm::PowerDown(machine)
            | Harm::DiskLost(machine)
            | Harm::DiskStall(machine, _)
            | Harm::Slow(machine, _)
            | Harm::Pause(machine)
            | Harm::ProgramKill(machine)
            | Harm::Roam(machine)
            | Harm::Leave(machine)
            | Harm::StoreRestored(machine) => BTreeSet::from([*machine]),
            Harm::ClockJump(..)
            | Harm::Junk(..)
            | Harm::Poison(..)
            | Harm::Strangers(..)
            | Harm::Lies(..)
            | Harm::StoreCopied(_) => BTreeSet::new(),
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Harm::Cut(links) => {
                f.write_str("cut")?;
                links.iter().try_for_each(|(from, to)| write!(f, " {from}>{to}"))
            }
            Harm::LinkConditions(links, conditions) => write!(
                f,
                "storm on {} links: {} ‰ lost, {} ‰ doubled, {} + {} ms",
                links.len(),
                conditions.loss_permille,
                conditions.duplicate_permille,
                conditions.delay_ms,
                conditions.jitter_ms
            ),
            Harm::AgentDown(machine) => write!(f, "agent of n{machine} killed"),
            Harm::PowerDown(machine) => write!(f, "power of n{machine} cut"),
            Harm::DiskLost(machine) => write!(f, "disk of n{machine} lost"),
            Harm::DiskStall(machine, ms) => write!(f, "disk of n{machine} stalls {ms} ms"),
            Harm::Slow(machine, ms) => write!(f, "n{machine} is {ms} ms late"),
            Harm::Pause(machine) => write!(f, "n{machine} stands still"),
            Harm::ClockJump(machine, ms) => write!(f, "clock of n{machine} off by {ms} ms"),
            Harm::ProgramKill(machine) => write!(f, "a program on n{machine} killed"),
            Harm::Roam(machine) => write!(f, "n{machine} has another address"),
            Harm::Leave(machine) => write!(f, "n{machine} leaves"),
            Harm::Junk(machine, count) => write!(f, "{count} packets of junk reach n{machine}"),
            Harm::Poison(machine, count) => write!(f, "{count} poison records reach n{machine}"),
            Harm::Strangers(machine, count) => write!(f, "{count} strangers call n{machine}"),
            Harm::Lies(machine, count) => write!(f, "{count} lies are told to n{machine}"),
            Harm::StoreCopied(machine) => write!(f, "store of n{machine} copied"),
            Harm::StoreRestored(machine) => write!(f, "store of n{machine} restored"),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When it begins.
    pub begin: u64,
    /// When it is over.
    pub end: u64,
    /// What it is.
    pub harm: Harm,
}

/// Draws the faults of one nemesis, all within `from..until`, for so many machines.
pub fn draw(
    nemesis: Nemesis,
    machines: usize,
    from: u64,
    until: u64,
    dice: &mut Dice,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut at = from + dice.between(0, 30_000);
    while at < until {
        let end = (at + duration_ms(nemesis, dice)).min(until);
        for (harm, begin, end) in harms(nemesis, machines, (at, end), dice) {
            faults.push(Fault { begin, end, harm });
        }
        at = end + dice.between(1_000, 45_000);
    }
    faults
}

fn duration_ms(nemesis: Nemesis, dice: &mut Dice) -> u64 {
    match nemesis {
        Nemesis::Halves | Nemesis::Thirds | Nemesis::Bridge | Nemesis::OneWay => {
            *dice.pick(&[300, 2_000, 8_000, 20_000, 60_000, 100_000])
        }
        Nemesis::Swizzle => dice.between(5_000, 30_000),
        Nemesis::Storm => dice.between(3_000, 60_000),
        Nemesis::AgentCrash => *dice.pick(&[50, 500, 2_000, 10_000, 30_000]),
        Nemesis::PowerCut | Nemesis::DiskLost => *dice.pick(&[500, 3_000, 10_000, 60_000]),
        Nemesis::DiskStall => dice.between(2_000, 20_000),
        Nemesis::Slow => dice.between(5_000, 60_000),
        Nemesis::Pause => dice.between(100, 30_000),
        Nemesis::Restore => dice.between(5_000, 60_000),
        Nemesis::Leave => *dice.pick(&[1_000, 10_000, 30_000, 60_000]),
        Nemesis::ClockJump
        | Nemesis::ProgramKill
        | Nemesis::Roam
        | Nemesis::Junk
        | Nemesis::Poison
        | Nemesis::Strangers
        | Nemesis::Lies => 1,
    }
}

type Span = (u64, u64);

fn harms(nemesis: Nemesis, machines: usize, span: Span, dice: &mut Dice) -> Vec<(Harm, u64, u64)> {
    let (begin, end) = span;
    let victim = dice.index(machines);
    let harm = match nemesis {
        Nemesis::Halves => Harm::Cut(between_groups(&groups(machines, 2, dice))),
        Nemesis::Thirds => Harm::Cut(between_groups(&groups(machines, 3, dice))),
        Nemesis::Bridge => {
            let mut groups = groups(machines, 2, dice);
            groups.iter_mut().for_each(|group| group.retain(|machine| *machine != victim));
            Harm::Cut(between_groups(&groups))
        }
        Nemesis::OneWay => Harm::Cut(some_links(machines, dice)),
        Nemesis::Swizzle => return swizzle(machines, span, dice),
        Nemesis::Storm => storm(machines, dice),
        Nemesis::AgentCrash => Harm::AgentDown(victim),
        Nemesis::PowerCut => Harm::PowerDown(victim),
        Nemesis::DiskLost => Harm::DiskLost(victim),
        Nemesis::DiskStall => Harm::DiskStall(victim, 2_000),
        Nemesis::Slow => Harm::Slow(victim, *dice.pick(&[50, 200, 600, 1_500])),
        Nemesis::Pause => Harm::Pause(victim),
        Nemesis::ClockJump => Harm::ClockJump(victim, clock_jump_ms(dice)),
        Nemesis::ProgramKill => Harm::ProgramKill(victim),
        Nemesis::Roam => Harm::Roam(victim),
        Nemesis::Leave => Harm::Leave(victim),
        Nemesis::Junk => Harm::Junk(victim, dice.between(1, 40)),
        Nemesis::Poison => Harm::Poison(victim, dice.between(1, 4)),
        Nemesis::Strangers => {
            let most = STRANGERS_MAX as u64;
            Harm::Strangers(victim, *dice.pick(&[most / 2, most, most + 200]))
        }
        Nemesis::Lies => Harm::Lies(victim, dice.between(1, 8)),
        Nemesis::Restore => return restore(victim, span, dice),
    };
    vec![(harm, begin, end)]
}

/// The copy is made at the beginning; the machine is down only for the last seconds.
fn restore(victim: MachineNo, (begin, end): Span, dice: &mut Dice) -> Vec<(Harm, u64, u64)> {
    let down_at = end.saturating_sub(dice.between(500, 10_000)).max(begin);
    vec![(Harm::StoreCopied(victim), begin, begin), (Harm::StoreRestored(victim), down_at, end)]
}

/// A tenth of a second, an hour, a year or ten years, forward or back.
fn clock_jump_ms(dice: &mut Dice) -> i64 {
    let size = *dice.pick(&[100, 3_600_000, 365 * 86_400_000, 3_650 * 86_400_000]);
    if dice.happens(500) { size } else { -size }
}

fn groups(machines: usize, count: usize, dice: &mut Dice) -> Vec<Vec<MachineNo>> {
    let mut order: Vec<MachineNo> = (0..machines).collect();
    dice.shuffle(&mut order);
    let mut groups = vec![Vec::new(); count];
    for (place, machine) in order.into_iter().enumerate() {
        let group = if place < count { place } else { dice.index(count) };
        groups[group].push(machine);
    }
    groups
}

fn between_groups(groups: &[Vec<MachineNo>]) -> Vec<(MachineNo, MachineNo)> {
    let mut links = Vec::new();
    for (no, group) in groups.iter().enumerate() {
        for other in groups.iter().enumerate().filter(|(other, _)| *other != no) {
            links.extend(group.iter().flat_map(|a| other.1.iter().map(move |b| (*a, *b))));
        }
    }
    links
}

fn all_links(machines: usize) -> Vec<(MachineNo, MachineNo)> {
    (0..machines)
        .flat_map(|a| (0..machines).filter(move |b| *b != a).map(move |b| (a, b)))
        .collect()
}

fn some_links(machines: usize, dice: &mut Dice) -> Vec<(MachineNo, MachineNo)> {
    let mut links = all_links(machines);
    dice.shuffle(&mut links);
    links.truncate(dice.between(1, 1 + links.len() as u64 / 3) as usize);
    links
}

fn swizzle(machines: usize, (begin, end): Span, dice: &mut Dice) -> Vec<(Harm, u64, u64)> {
    let middle = begin + (end - begin) / 2;
    let cut = |link, dice: &mut Dice| {
        (Harm::Cut(vec![link]), dice.between(begin, middle), dice.between(middle, end))
    };
    some_links(machines, dice).into_iter().map(|link| cut(link, dice)).collect()
}

fn storm(machines: usize, dice: &mut Dice) -> Harm {
    let links = if dice.happens(500) { all_links(machines) } else { some_links(machines, dice) };
    let conditions = LinkConditions {
        loss_permille: *dice.pick(&[0, 20, 100, 300, 600]),
        duplicate_permille: *dice.pick(&[0, 50, 300]),
        delay_ms: *dice.pick(&[0, 5, 50, 300]),
        jitter_ms: *dice.pick(&[0, 10, 100, 800]),
    };
    Harm::LinkConditions(links, conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_over_when_the_harm_is() {
        for seed in 0..50 {
            for nemesis in Nemesis::ALL {
                let mut dice = Dice::new(seed, "faults");
                for fault in draw(nemesis, 5, 10_000, 150_000, &mut dice) {
                    assert!(fault.begin >= 10_000 && fault.begin <= fault.end, "{fault:?}");
                    assert!(fault.end <= 150_000, "{fault:?}");
                }
            }
        }
    }

    #[test]
    fn two_parts_have_no_link_between_them_and_all_within() {
        let links = between_groups(&[vec![0, 1], vec![2]]);
        assert_eq!(links, vec![(0, 2), (1, 2), (2, 0), (2, 1)]);
    }
}
