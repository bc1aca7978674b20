//! What a reading finds: faults, and what has no effect. Reading goes on after a fault, so that all of
//! them are told at once.

use std::cell::RefCell;
use std::fmt::Display;

use crate::problem::{Note, Problem};
use crate::tree::Place;

/// The findings of one reading.
#[derive(Debug, Default)]
pub struct Log {
    problems: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<Note>>,
}

impl Log {
    /// Something is wrong.
    pub fn refuse(&self, place: &Place, what: impl Display) {
        self.add(Problem::at(place, what.to_string()));
    }

    /// Something is wrong.
    pub fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Something has no effect.
    pub fn note(&self, place: &Place, what: impl Display) {
        self.notes.borrow_mut().push(Note { place: place.clone(), what: what.to_string() });
    }

    /// Takes the result of a reading; an error is noted with its place.
    pub fn ok<T, E: Display>(&self, place: &Place, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.refuse(place, error)).ok()
    }

    /// The faults in the order of the files, or else what has no effect.
    pub fn finish(self) -> Result<Vec<Note>, Vec<Problem>> {
        let (mut problems, mut notes) = (self.problems.into_inner(), self.notes.into_inner());
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        problems.dedup();
        notes.sort_by(|a, b| a.place.cmp(&b.place));
        notes.dedup();
        if problems.is_empty() { Ok(notes) } else { Err(problems) }
    }
}
