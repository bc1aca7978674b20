//! `edgectl conflicts`: values that lost against a concurrent write, and how to restore one.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::output::{Listing, Row, ago, now, print};
use crate::output;
use node_docker::edge::{Conflict, ConflictValue, PickRequest};

/// Flags, or a command.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ConflictsArgs {
    #[command(subcommand)]
    command: Option<ConflictsCommand>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Subcommand)]
enum ConflictsCommand {
    /// List what won and what lost
    Ls(Listing),
    /// Make a value that lost the winner; an edit of what was removed brings that back
    Pick {
        /// Its number in the list
        #[arg(value_name = "NUMBER")]
        number: usize,
    },
    /// Keep what won against a value, and take that from the list
    Keep {
        /// The number of the value that lost
        #[arg(value_name = "NUMBER")]
        number: usize,
    },
}

/// The facet that says whether a record exists: a removal is a value of it.
const LIFE: u16 = 0;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ValueRow {
    number: String,
    name: String,
    facet: String,
    outcome: String,
    node: String,
    written: String,
    value: String,
}

impl Row for ValueRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Number", "#"),
        ("Name", "NAME"),
        ("Facet", "FACET"),
        ("Outcome", "OUTCOME"),
        ("Node", "WRITTEN ON"),
        ("Written", "WHEN (ITS CLOCK)"),
        ("Value", "VALUE"),
    ];
    const TABLE: &'static str = "{{.Number}}\t{{.Name}}\t{{.Facet}}\t{{.Outcome}}\t{{.Node}}\t\
                                 {{.Written}}\t{{.Value}}";
    const NONE: &'static str = "no conflicts: no edit lost against another one";
    fn quiet(&self) -> &str {
        &self.number
    }
}

/// Lists, or picks.
pub async fn run(args: ConflictsArgs, mut client: Client) -> Result<Exit, Failure> {
    let conflicts: Vec<Conflict> = client.get("/edge/conflicts").await?;
    match args.command {
        None => args.listing.print(&rows(&conflicts))?,
        Some(ConflictsCommand::Ls(listing)) => listing.print(&rows(&conflicts))?,
        Some(ConflictsCommand::Pick { number }) => {
            let (conflict, loser) = numbered(&conflicts, number)?;
            choose(&mut client, conflict, loser).await?;
            print(picked_text(conflict, loser))?;
        }
        Some(ConflictsCommand::Keep { number }) => {
            let (conflict, _) = numbered(&conflicts, number)?;
            choose(&mut client, conflict, &conflict.winner).await?;
            print(kept_text(conflict))?;
        }
    }
    Ok(Exit::Done)
}

async fn choose(
    client: &mut Client,
    conflict: &Conflict,
    value: &ConflictValue,
) -> Result<(), Failure> {
    let request = PickRequest {
        key: if value.key.is_empty() { &conflict.key } else { &value.key }.clone(),
        facet_number: value.facet_number.unwrap_or(conflict.facet_number),
        label: conflict.label.clone(),
        stamp: value.stamp.clone(),
    };
    client.send("/edge/conflicts", &request).await?;
    Ok(())
}

fn picked_text(conflict: &Conflict, loser: &ConflictValue) -> String {
    let Conflict { facet, name, .. } = conflict;
    if is_removed(conflict) {
        return format!("{name} is back, with {facet}: {}", loser.value);
    }
    if is_name(conflict) {
        return format!("the name {name} means {} now, the others were renamed", loser.value);
    }
    format!("{facet} of {name} is now {}", loser.value)
}

fn kept_text(conflict: &Conflict) -> String {
    let Conflict { facet, name, winner, .. } = conflict;
    if is_removed(conflict) {
        return format!("{name} stays removed");
    }
    if is_name(conflict) {
        return format!("the name {name} still means {}, the others were renamed", winner.value);
    }
    format!("{facet} of {name} stays {}", winner.value)
}

/// Is it a name that several services have?
fn is_name(conflict: &Conflict) -> bool {
    conflict.winner.stamp.is_empty()
}

/// Was the record removed by a node that had not seen this edit?
fn is_removed(conflict: &Conflict) -> bool {
    let facet = conflict.winner.facet_number.unwrap_or(conflict.facet_number);
    facet == LIFE && conflict.winner.value == "removed"
}

/// Losers are numbered in the order of the list, from 1.
fn numbered(conflicts: &[Conflict], number: usize) -> Result<(&Conflict, &ConflictValue), Failure> {
    let mut losers =
        conflicts.iter().flat_map(|conflict| conflict.losers.iter().map(move |l| (conflict, l)));
    let (conflict, loser) = number
        .checked_sub(1)
        .and_then(|at| losers.nth(at))
        .ok_or_else(|| Failure::new(format!("no value {number}")).hint("edgectl conflicts ls"))?;
    Ok((conflict, loser))
}

fn rows(conflicts: &[Conflict]) -> Vec<ValueRow> {
    let mut number = 0;
    let mut rows = Vec::new();
    for conflict in conflicts {
        rows.push(row(conflict, &conflict.winner, first_outcome(conflict), String::new()));
        for loser in &conflict.losers {
            number += 1;
            rows.push(row(conflict, loser, "lost", number.to_string()));
        }
    }
    rows
}

/// Without a value that lost there is nothing to pick: the row names what lost itself, or a subnet
/// that overlaps with a route.
fn first_outcome(conflict: &Conflict) -> &'static str {
    match conflict.losers.is_empty() {
        false => "won",
        true if conflict.facet == "subnet" => "overlaps",
        true => "lost",
    }
}

fn row(conflict: &Conflict, value: &ConflictValue, outcome: &str, number: String) -> ValueRow {
    ValueRow {
        number,
        name: conflict.name.clone(),
        facet: conflict.facet.clone(),
        outcome: outcome.to_owned(),
        node: value.node.clone(),
        // What follows from several writes was written by nobody.
        written: match value.node.as_str() {
            "" => String::new(),
            _ => output::age(now(), value.written_at)
                .map_or_else(|| value.written_at.to_rfc3339(), ago),
        },
        value: value.value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict() -> Conflict {
        let value = |stamp: &str, node: &str, value: &str| ConflictValue {
            stamp: stamp.to_owned(),
            node: node.to_owned(),
            value: value.to_owned(),
            ..ConflictValue::default()
        };
        Conflict {
            name: "web".to_owned(),
            facet: "scale".to_owned(),
            winner: value("9.n2", "n2", "8 replicas"),
            losers: vec![value("8.n1", "n1", "5 replicas"), value("7.n3", "n3", "4 replicas")],
            ..Conflict::default()
        }
    }

    #[test]
    fn losers_have_numbers_to_pick_them_by() {
        assert_eq!(
            Listing::default().lines(&rows(&[conflict()])).expect("a table"),
            [
                "#   NAME   FACET   OUTCOME   WRITTEN ON   WHEN (ITS CLOCK)       VALUE",
                "    web    scale   won       n2           1970-01-01T00:00:00Z   8 replicas",
                "1   web    scale   lost      n1           1970-01-01T00:00:00Z   5 replicas",
                "2   web    scale   lost      n3           1970-01-01T00:00:00Z   4 replicas",
            ]
        );
        let conflicts = [conflict()];
        assert_eq!(numbered(&conflicts, 2).expect("there").1.stamp, "7.n3");
        assert!(numbered(&conflicts, 0).is_err() && numbered(&conflicts, 3).is_err());
    }

    #[test]
    fn what_nobody_can_pick_has_not_won() {
        let alone = |facet: &str| {
            let mut conflict = Conflict { losers: Vec::new(), ..conflict() };
            conflict.facet = facet.to_owned();
            rows(&[conflict]).swap_remove(0).outcome
        };
        assert_eq!((alone("subnet"), alone("ports")), ("overlaps".to_owned(), "lost".to_owned()));
    }

    #[test]
    fn an_edit_of_what_was_removed_brings_it_back_or_goes() {
        let mut conflict = conflict();
        (conflict.winner.value, conflict.winner.facet_number) = ("removed".to_owned(), Some(0));
        let loser = &conflict.losers[0];
        assert_eq!(picked_text(&conflict, loser), "web is back, with scale: 5 replicas");
        assert_eq!(kept_text(&conflict), "web stays removed");
    }

    #[test]
    fn a_name_goes_to_who_is_picked() {
        let mut conflict = conflict();
        conflict.facet = "name".to_owned();
        (conflict.winner.stamp, conflict.winner.value) = (String::new(), "aa11".to_owned());
        (conflict.losers[0].stamp, conflict.losers[0].value) = (String::new(), "bb22".to_owned());
        let said = picked_text(&conflict, &conflict.losers[0]);
        assert_eq!(said, "the name web means bb22 now, the others were renamed");
        let said = kept_text(&conflict);
        assert_eq!(said, "the name web still means aa11, the others were renamed");
    }
}
