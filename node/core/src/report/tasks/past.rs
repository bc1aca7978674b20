//! The past of a slot as operators see it: the latest ones over all nodes, as many as are to be kept.
//!
//! Every node keeps that many of its own, so a slot that moved about has more. Which are the latest is
//! told by the clocks of their nodes, which decide nothing but this.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crdt_state::task::{Attempt, Run, Slot};

use super::TaskView;

/// Leaves out the past of each slot beyond the latest, so many.
pub(super) fn cut(views: &mut Vec<TaskView>, limit: usize) {
    let mut of_slots = BTreeMap::<Slot, Vec<_>>::new();
    for view in views.iter() {
        let Some(status) = &view.status else { continue };
        let current = is_past(view).then_some(&status.current);
        let when = |attempt: &Attempt| {
            let run = Run { task: view.id, attempt: attempt.number };
            (Reverse((attempt.wall_ms, attempt.number)), run)
        };
        let past = current.into_iter().chain(&status.history).map(when);
        of_slots.entry(view.slot).or_default().extend(past);
    }
    let mut hidden = BTreeSet::new();
    for mut past in of_slots.into_values().filter(|past| past.len() > limit) {
        past.sort_unstable();
        hidden.extend(past.into_iter().skip(limit).map(|(_, run)| run));
    }
    if hidden.is_empty() {
        return;
    }
    let is_hidden = |view: &TaskView, attempt: &Attempt| {
        hidden.contains(&Run { task: view.id, attempt: attempt.number })
    };
    views.retain(|view| {
        let current = view.status.as_ref().map(|status| &status.current);
        !(is_past(view) && current.is_some_and(|current| is_hidden(view, current)))
    });
    for view in views {
        let Some(mut status) = view.status.take() else { continue };
        status.history.retain(|attempt| !is_hidden(view, attempt));
        view.status = Some(status);
    }
}

/// Is it over and not wanted, as it is shown?
fn is_past(view: &TaskView) -> bool {
    let is_over = view.status.as_ref().is_some_and(|status| status.current.state.is_terminal());
    is_over && !view.desired_running
}
