//! What is wrong with a Compose file, and what is left out of it.

use std::fmt;

use crate::tree::Place;

/// One fault of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is; `None`: of the files as a whole.
    pub place: Option<Place>,
    /// What is wrong, and why.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Problem {
    /// A fault at a place.
    pub fn at(place: &Place, what: impl Into<String>) -> Problem {
        Problem { place: Some(place.clone()), what: what.into(), hint: None }
    }

    /// A fault of the files as a whole.
    pub fn of_all(what: impl Into<String>) -> Problem {
        Problem { place: None, what: what.into(), hint: None }
    }

    /// The same, with what to write instead.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; write {hint}"),
            None => Ok(()),
        }
    }
}

/// Something in a file that has no effect, and is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where it is.
    pub place: Place,
    /// What has no effect, and why.
    pub what: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
