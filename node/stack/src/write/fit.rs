//! A tree without what a reading refuses.

use crate::context::Files;
use crate::interpolate::{Variables, protect};
use crate::load::File;
use crate::parse::parse;
use crate::problem::Problem;
use crate::stack::{Input, Stack, read};
use crate::tree::{Node, Place, Value};
use crate::yaml;

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The keys that lead to it: `services.web.cap_add`.
    pub path: String,
    /// What it was: its text, or the lines of its map or list.
    pub value: String,
    /// Why it is refused.
    pub why: String,
}

/// A file that can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Its text, with `$$` for the sign `$`.
    pub text: String,
    /// What it means.
    pub stack: Stack,
    /// What is not in it.
    pub cuts: Vec<Cut>,
}

/// Takes out whatever a reading refuses, until nothing is refused. The error says what is wrong with a
/// tree of which nothing is left that could be taken out.
pub fn fitted(mut tree: Node, beside: &dyn Files) -> Result<Fitted, Vec<Problem>> {
    protect(&mut tree);
    let mut text = format!("{}\n", yaml::text(&tree));
    let mut cuts = Vec::new();
    loop {
        let file = File { path: "compose.yaml".into(), text: text.clone() };
        let variables = Variables::new();
        let input = Input {
            name: None,
            files: vec![file],
            variables: &variables,
            profiles: vec![],
            beside,
        };
        let problems = match read(&input) {
            Ok(stack) => return Ok(Fitted { text, stack, cuts }),
            Err(problems) => problems,
        };
        let mut tree = parse("compose.yaml", &text).map_err(|problem| vec![problem])?;
        let before = cuts.len();
        for problem in &problems {
            cuts.extend(cut(&mut tree, problem));
        }
        if cuts.len() == before {
            return Err(problems);
        }
        text = format!("{}\n", yaml::text(&tree));
    }
}

/// One step from a value to one below it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

fn cut(tree: &mut Node, problem: &Problem) -> Option<Cut> {
    let mut found = Vec::new();
    places(tree, problem.place.as_ref()?, &mut Vec::new(), &mut found);
    // The first key of a map stands where the map does: what has nothing below it is meant, or else
    // the whole.
    let (steps, _) = match found.iter().find(|(_, is_leaf)| *is_leaf) {
        Some(leaf) => leaf.clone(),
        None => found.into_iter().min_by_key(|(steps, _)| steps.len())?,
    };
    let removed = remove(tree, &steps)?;
    let mut path = String::new();
    for step in &steps {
        match step {
            Step::Key(key) if path.is_empty() => path.push_str(key),
            Step::Key(key) => path.push_str(&format!(".{key}")),
            Step::Item(_) => {}
        }
    }
    let value = match &removed.value {
        Value::Text(text) => text.replace("$$", "$"),
        _ => yaml::text(&removed).replace("$$", "$"),
    };
    Some(Cut { path, value, why: problem.what.clone() })
}

/// The ways to all that stands at a place, each with whether it has nothing below it.
fn places(node: &Node, at: &Place, way: &mut Vec<Step>, found: &mut Vec<(Vec<Step>, bool)>) {
    let mut look = |step: Step, place: Option<&Place>, below: &Node| {
        way.push(step);
        if place == Some(at) || below.place == *at {
            found.push((way.clone(), !matches!(below.value, Value::Map(_) | Value::List(_))));
        }
        places(below, at, way, found);
        way.pop();
    };
    match &node.value {
        Value::Map(map) => {
            for entry in map.entries() {
                look(Step::Key(entry.key.clone()), Some(&entry.place), &entry.node);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                look(Step::Item(index), None, item);
            }
        }
        Value::Null | Value::Text(_) => {}
    }
}

fn remove(node: &mut Node, steps: &[Step]) -> Option<Node> {
    let (step, rest) = steps.split_first()?;
    match (&mut node.value, step) {
        (Value::Map(map), Step::Key(key)) if rest.is_empty() => map.remove(key),
        (Value::Map(map), Step::Key(key)) => remove(map.get_mut(key)?, rest),
        (Value::List(items), Step::Item(index)) if rest.is_empty() => {
            (*index < items.len()).then(|| items.remove(*index))
        }
        (Value::List(items), Step::Item(index)) => remove(items.get_mut(*index)?, rest),
        _ => None,
    }
}
