//! Why a service that is scaled by its load has as many tasks as it has, and what would change it.

use crdt_state::service::Service;
use gossip::Now;

use super::{Autoscaler, Hold, TOLERANCE_PERCENT, Used, Wanted, asked_of, figures};
use crate::planner::Planner;
use crate::reason::ScaleReason;

/// What a node makes of the load of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoscaleStatus {
    /// The number of tasks in force.
    pub count: u32,
    /// At least so many.
    pub min: u32,
    /// At most so many.
    pub max: u32,
    /// Of so many tasks there are figures.
    pub known: u32,
    /// The figures.
    pub used: Vec<Used>,
    /// The next count, if the load stays.
    pub next: Option<u32>,
    /// In how many milliseconds it is due; `None` where the answer may be older than that.
    pub next_in_ms: Option<u64>,
    /// Why it is this count.
    pub reason: ScaleReason,
    /// The host name of the node that is silent, if one is.
    pub silent: String,
}

impl Autoscaler {
    /// What this node makes of the load of a service; `None`: it is not scaled by its load.
    pub fn status(
        &self,
        now: Now,
        service: &Service,
        planner: &Planner,
    ) -> Option<AutoscaleStatus> {
        let (_, asked, count) = asked_of(planner.catalog(), service.id)?;
        let scaling = self.services.get(&service.id)?;
        let figures = figures(service, asked, count, planner);
        let damped = scaling.damping.due(&figures, asked);
        let (next, next_in_ms) = match damped {
            Some((due, next)) => (Some(next), Some(due.since(now))),
            None => (None, None),
        };
        let within = figures.wanted_within(asked);
        let silent = match scaling.hold {
            Some(Hold::Silent(node)) => planner.catalog().hostname(node),
            _ => String::new(),
        };
        let reason = match (figures.wanted(), within, scaling.hold) {
            _ if figures.known == 0 => ScaleReason::NoFigures,
            (Wanted::More(_), Wanted::Same, _) => ScaleReason::AtMax,
            (Wanted::More(_), ..) => ScaleReason::Rising,
            (Wanted::Fewer(_), Wanted::Same, _) => ScaleReason::AtMin,
            (Wanted::Fewer(_), _, Some(Hold::Silent(_))) => ScaleReason::Silent,
            (Wanted::Fewer(_), _, Some(Hold::Updating)) => ScaleReason::Updating,
            (Wanted::Fewer(_), ..) => ScaleReason::Falling,
            (Wanted::Same, ..) => ScaleReason::Fits,
        };
        let (min, max, known, used) = (asked.min, asked.max, figures.known, figures.used);
        Some(AutoscaleStatus { count, min, max, known, used, next, next_in_ms, reason, silent })
    }
}

impl AutoscaleStatus {
    /// The same for a copy that is kept while time passes.
    pub fn undated(self) -> AutoscaleStatus {
        AutoscaleStatus { next_in_ms: None, ..self }
    }

    /// The mean use of one task in percent, by what is known.
    pub fn mean(&self, used: &Used) -> u64 {
        used.percent / u64::from(self.known.max(1))
    }

    /// `4 tasks by its load, of 2 to 10`, the figures, why it is this count, and what would change
    /// it.
    pub fn in_words(&self) -> String {
        let AutoscaleStatus { count, min, max, known, silent, .. } = self;
        let count = match count {
            1 => "1 task".to_owned(),
            _ => format!("{count} tasks"),
        };
        let figure = |used: &Used| {
            let mean = self.mean(used);
            format!("{} {mean}% of a target of {}%", used.metric.as_str(), used.target)
        };
        let figures = self.used.iter().map(figure).collect::<Vec<_>>().join(", ");
        let figures = match known {
            0 => "no task has figures yet".to_owned(),
            1 if self.count > 1 => format!("{figures} (1 task has figures)"),
            _ if *known < self.count => format!("{figures} ({known} tasks have figures)"),
            _ => figures,
        };
        let why = match self.reason {
            ScaleReason::NoFigures => {
                "a task has figures when it was healthy for half a minute".to_owned()
            }
            ScaleReason::Fits if *known < self.count => {
                "the others count as if they used what they are to use".to_owned()
            }
            ScaleReason::Fits => self.thresholds(),
            ScaleReason::AtMax => format!("more are wanted, and max={max} is reached"),
            ScaleReason::AtMin => format!("fewer would do, and min={min} is reached"),
            ScaleReason::Rising | ScaleReason::Falling => self.next_in_words(),
            ScaleReason::Silent => format!(
                "fewer would do, but {silent} is silent and nobody knows what its tasks use; if it \
                 is gone for good: edgectl node rm {silent}"
            ),
            ScaleReason::Updating => "fewer would do, when its update is over".to_owned(),
        };
        format!("{count} by its load, of {min} to {max}: {figures}; {why}")
    }

    /// Which use makes more tasks, and which makes fewer.
    fn thresholds(&self) -> String {
        let count = u64::from(self.count);
        let above = |used: &Used| used.target * (100 + TOLERANCE_PERCENT) / 100;
        let below = |used: &Used| {
            let fits = used.target * count.saturating_sub(1) / count.max(1);
            fits.min(used.target * (100 - TOLERANCE_PERCENT) / 100)
        };
        let all = |word: &str, of: &dyn Fn(&Used) -> u64, joint: &str| {
            let each = self.used.iter().map(|used| {
                let metric = used.metric.as_str();
                format!("{metric} {word} {}%", of(used))
            });
            each.collect::<Vec<_>>().join(joint)
        };
        let more = format!("{} makes more", all("above", &above, " or "));
        let fewer = format!("{} makes fewer", all("below", &below, " and "));
        match (self.count < self.max, self.count > self.min) {
            (true, true) => format!("{more}, {fewer}"),
            (true, false) => more,
            (false, true) => fewer,
            (false, false) => "min and max are the same".to_owned(),
        }
    }

    fn next_in_words(&self) -> String {
        let Some(next) = self.next else { return "another number is wanted".to_owned() };
        match self.next_in_ms {
            Some(0) => format!("{next} are due"),
            Some(in_ms) => format!("{next} in {} s if the load stays", in_ms.div_ceil(1_000)),
            None => format!("{next} soon if the load stays"),
        }
    }
}
