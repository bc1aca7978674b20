//! The common part of every `ls` and `ps`: columns, `--format`, `-q`, `--no-trunc`.
//!
//! A row is a flat object of texts under Docker's field names, so that the default table,
//! `--format json` and a Go template all show the same thing.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::{Table, Template, print, say};
use crate::failure::Failure;

/// One line of a listing.
pub trait Row: Serialize {
    /// Field and heading of every field, in the order in which they are documented.
    const FIELDS: &'static [(&'static str, &'static str)];
    /// The template of the default table, without the leading `table `.
    const TABLE: &'static str;
    /// The message on stderr when there are no rows.
    const NONE: &'static str;

    /// The output of `-q`.
    fn quiet(&self) -> &str;
}

/// Flags of every listing.
#[derive(Debug, Clone, Default, Args)]
pub struct Listing {
    /// `table` with columns (default), `json` with one object per line, or a Go template:
    /// '{{.ID}}\t{{.Name}}', 'table {{.Name}}\t{{.ID}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Do not cut ids and errors in the table
    #[arg(long)]
    no_trunc: bool,
}

/// Whether ids and errors are shown completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Cut to fit.
    Short,
    /// As they are.
    Whole,
}

impl Listing {
    /// Prints the rows.
    pub fn print<R: Row>(&self, rows: &[R]) -> Result<(), Failure> {
        let lines = self.lines(rows)?;
        if rows.is_empty() && self.is_for_people() {
            say(R::NONE);
        }
        if lines.is_empty() { Ok(()) } else { print(lines.join("\n")) }
    }

    /// Tables for people are cut to fit; output for scripts is complete.
    pub fn shown(&self) -> Shown {
        let is_table = self.format.as_deref().is_none_or(|format| format.starts_with("table"));
        if self.quiet || self.no_trunc || !is_table { Shown::Whole } else { Shown::Short }
    }

    /// Is it the table, for people?
    pub fn is_for_people(&self) -> bool {
        !self.quiet && self.format.as_deref().is_none_or(|format| format == "table")
    }

    /// The lines that [`Listing::print`] prints.
    pub fn lines<R: Row>(&self, rows: &[R]) -> Result<Vec<String>, Failure> {
        match self.format.as_deref() {
            _ if self.quiet => Ok(rows.iter().map(|row| row.quiet().to_owned()).collect()),
            Some("json") => Ok(rows
                .iter()
                .map(|row| serde_json::to_string(row).expect("a row is plain text"))
                .collect()),
            None | Some("table" | "") => table(R::TABLE, rows, self.shown()),
            Some(format) => match format.strip_prefix("table ") {
                Some(columns) => table(columns, rows, self.shown()),
                None => {
                    let template = Template::strict(format)?;
                    rows.iter().map(|row| template.render(row)).collect()
                }
            },
        }
    }
}

/// Without rows there are no headings: [`Row::NONE`] is printed instead.
fn table<R: Row>(columns: &str, rows: &[R], shown: Shown) -> Result<Vec<String>, Failure> {
    let template = Template::strict(columns.trim())?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let headings: BTreeMap<&str, &str> = R::FIELDS.iter().copied().collect();
    let mut table = Table::new();
    table.row(template.render(&headings)?.split('\t'));
    for row in rows {
        table.row(template.render(row)?.split('\t'));
    }
    Ok(match (terminal_width(), shown) {
        (Some(width), Shown::Short) => table.lines_within(width),
        _ => table.lines(),
    })
}

/// `None` when stdout is no terminal: scripts get every column.
fn terminal_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Thing {
        #[serde(rename = "ID")]
        id: &'static str,
        name: &'static str,
    }

    impl Row for Thing {
        const FIELDS: &'static [(&'static str, &'static str)] = &[("ID", "ID"), ("Name", "NAME")];
        const TABLE: &'static str = "{{.ID}}\t{{.Name}}";
        const NONE: &'static str = "no things";
        fn quiet(&self) -> &str {
            self.id
        }
    }

    fn lines(format: Option<&str>) -> Vec<String> {
        let listing = Listing { format: format.map(str::to_owned), ..Listing::default() };
        let rows = [Thing { id: "x1", name: "web" }, Thing { id: "x22", name: "db" }];
        listing.lines(&rows).expect("a valid format")
    }

    #[test]
    fn a_table_has_headings_and_aligned_columns() {
        assert_eq!(lines(None), ["ID    NAME", "x1    web", "x22   db"]);
        assert_eq!(
            lines(Some(r"table {{.Name}}\t{{.ID}}")),
            ["NAME   ID", "web    x1", "db     x22"]
        );
    }

    #[test]
    fn json_is_one_object_per_line() {
        assert_eq!(
            lines(Some("json")),
            [r#"{"ID":"x1","Name":"web"}"#, r#"{"ID":"x22","Name":"db"}"#]
        );
    }

    #[test]
    fn a_template_has_no_headings() {
        assert_eq!(lines(Some("{{.Name}}={{.ID}}")), ["web=x1", "db=x22"]);
    }

    #[test]
    fn an_empty_table_has_no_headings() {
        assert_eq!(Listing::default().lines::<Thing>(&[]), Ok(Vec::new()));
    }

    #[test]
    fn quiet_prints_ids_and_nothing_else() {
        let listing = Listing { quiet: true, ..Listing::default() };
        let rows = [Thing { id: "x1", name: "web" }];
        assert_eq!(listing.lines(&rows).expect("ids"), ["x1"]);
    }
}
