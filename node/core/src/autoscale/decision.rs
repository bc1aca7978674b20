//! Which count a load asks for, and when it is declared.
//!
//! ```text
//!            more, for 30 s                        fewer, for 5 min
//! declared ◀──────────────── [ as many as fit ] ────────────────▶ declared, in a new round
//! at most twice as many                                           at least half as many
//! ```
//! Tasks of which there is no figure never count as idle: for more tasks their use is left out, for
//! fewer they count as if they used what was asked for. It must never see who decides, or a clock.

use crdt_state::autoscale::Autoscale;
use gossip::Now;

use super::Hold;

/// How far the use may be off its target, in percent of that, before the count changes: figures are
/// up to a twelfth of the target old, see [`super::STEPS`].
pub const TOLERANCE_PERCENT: u64 = 10;

/// More tasks must be wanted for so long, in milliseconds.
pub const UP_MS: u64 = 30_000;

/// Fewer tasks must be wanted for so long, in milliseconds: an early decrease costs more than a late
/// one.
pub const DOWN_MS: u64 = 300_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Time on processors.
    Cpu,
    /// Memory.
    Memory,
}

impl Metric {
    /// The word for operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Metric::Cpu => "CPU",
            Metric::Memory => "memory",
        }
    }
}

/// What the tasks of a service use together, and what each is to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Of what.
    pub metric: Metric,
    /// The sum over the tasks, in percent.
    pub percent: u64,
    /// The target of one task, in percent, more than 0.
    pub target: u64,
}

/// What is known of the load of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The number of its tasks that is in force.
    pub count: u32,
    /// Of so many tasks there are figures.
    pub known: u32,
    /// The figures, at least one.
    pub used: Vec<Used>,
}

/// The number of tasks that fits a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// More than there are.
    More(u32),
    /// As many as there are, or nobody knows.
    Same,
    /// Fewer than there are.
    Fewer(u32),
}

impl Figures {
    /// How many tasks of the present load there should be.
    pub fn wanted(&self) -> Wanted {
        let count = u64::from(self.count);
        let unknown = count.saturating_sub(u64::from(self.known));
        let fits = |percent: u64, target: u64| percent.div_ceil(target);
        let is_above =
            |used: &&Used| used.percent * 100 > used.target * count * (100 + TOLERANCE_PERCENT);
        let above = self.used.iter().filter(is_above);
        if let Some(more) = above.map(|used| fits(used.percent, used.target)).max() {
            return Wanted::More(u32::try_from(more).unwrap_or(u32::MAX));
        }
        let at_most = |used: &Used| used.percent + unknown * used.target;
        let is_below =
            |used: &Used| at_most(used) * 100 < used.target * count * (100 - TOLERANCE_PERCENT);
        let fewer = self.used.iter().map(|used| fits(at_most(used), used.target)).max();
        let fewer = fewer.and_then(|fewer| u32::try_from(fewer).ok());
        match fewer.filter(|fewer| *fewer < self.count) {
            Some(fewer) if self.used.iter().all(is_below) => Wanted::Fewer(fewer),
            _ => Wanted::Same,
        }
    }

    /// The same within what operators allow.
    pub fn wanted_within(&self, asked: Autoscale) -> Wanted {
        match self.wanted() {
            Wanted::More(more) if more.min(asked.max) > self.count => {
                Wanted::More(more.min(asked.max))
            }
            Wanted::Fewer(fewer) if fewer.max(asked.min) < self.count => {
                Wanted::Fewer(fewer.max(asked.min))
            }
            _ => Wanted::Same,
        }
    }
}

/// For how long another count has been wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damping {
    count: u32,
    since: Option<Since>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// More are wanted since then.
    More(Now),
    /// Fewer are wanted since then, and never more than so many.
    Fewer(Now, u32),
}

impl Damping {
    /// Nothing else than this count was wanted yet.
    pub fn new(count: u32) -> Damping {
        Damping { count, since: None }
    }

    /// The count that was in force when it was noted last.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Notes a load. Returns the next count and when it is to be declared, if there is one.
    pub fn note(
        &mut self,
        now: Now,
        figures: &Figures,
        asked: Autoscale,
        hold: Option<Hold>,
    ) -> Option<(Now, u32)> {
        if figures.count != self.count {
            *self = Damping::new(figures.count);
        }
        self.since = match (figures.wanted_within(asked), self.since) {
            (Wanted::More(_), Some(Since::More(since))) => Some(Since::More(since)),
            (Wanted::More(_), _) => Some(Since::More(now)),
            (Wanted::Fewer(_), _) if hold.is_some() => None,
            (Wanted::Fewer(fewer), Some(Since::Fewer(since, highest))) => {
                Some(Since::Fewer(since, highest.max(fewer)))
            }
            (Wanted::Fewer(fewer), _) => Some(Since::Fewer(now, fewer)),
            (Wanted::Same, _) => None,
        };
        self.due(figures, asked)
    }

    /// The next count and when it is to be declared, by what was noted last.
    pub fn due(&self, figures: &Figures, asked: Autoscale) -> Option<(Now, u32)> {
        match (self.since?, figures.wanted_within(asked)) {
            (Since::More(since), Wanted::More(more)) => {
                Some((since.plus(UP_MS), more.min(self.count.saturating_mul(2))))
            }
            (Since::Fewer(since, highest), _) => {
                Some((since.plus(DOWN_MS), highest.max(self.count.div_ceil(2))))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
